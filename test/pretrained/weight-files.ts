// Writers of the file formats of weights, for models of any size with values that do not matter.

import { crc32 } from 'node:zlib';

export type Shapes = ReadonlyMap<string, readonly number[]>;

const sizeOf = (shape: readonly number[]) => shape.reduce((product, n) => product * n, 1);

/** A file of torch.save: a zip archive with a pickle and a storage of float32 zeros for each tensor. */
export function torchFile(shapes: Shapes): Buffer {
  const entries = [...shapes].map(([name, shape], i) => Buffer.concat([text(name), tensorOf(String(i), shape)]));
  const pickle = Buffer.concat([Buffer.of(0x80, 2), Buffer.from('}('), ...entries, Buffer.from('u.')]);
  const storages = [...shapes.values()].map((shape, i): [string, Buffer] => [
    `data/${i}`,
    Buffer.alloc(4 * sizeOf(shape)),
  ]);
  return zip([['data.pkl', pickle], ...storages].map(([name, bytes]) => [`archive/${name}`, bytes as Buffer]));
}

/** `_rebuild_tensor_v2(storage, 0, shape, strides, False, {})`. */
function tensorOf(key: string, shape: readonly number[]): Buffer {
  const strides = shape.map((_, i) => sizeOf(shape.slice(i + 1)));
  const count = sizeOf(shape);
  return Buffer.concat([
    Buffer.from('ctorch._utils\n_rebuild_tensor_v2\n(('),
    text('storage'),
    Buffer.from('ctorch\nFloatStorage\n'),
    text(key),
    text('cpu'),
    integer(count),
    Buffer.from('tQ'), // the tuple of the storage, and its object
    integer(0),
    tuple(shape),
    tuple(strides),
    Buffer.of(0x89), // False
    Buffer.from('}tR'),
  ]);
}

const tuple = (values: readonly number[]) =>
  Buffer.concat([Buffer.from('('), ...values.map(integer), Buffer.from('t')]);

function integer(value: number): Buffer {
  const bytes = Buffer.alloc(5);
  bytes.write('J');
  bytes.writeInt32LE(value, 1);
  return bytes;
}

function text(value: string): Buffer {
  const bytes = Buffer.alloc(5);
  bytes.write('X');
  bytes.writeUInt32LE(Buffer.byteLength(value), 1);
  return Buffer.concat([bytes, Buffer.from(value)]);
}

/** A zip archive whose records are not compressed. */
export function zip(records: readonly (readonly [name: string, bytes: Uint8Array])[]): Buffer {
  const parts: Uint8Array[] = [];
  const directory: Buffer[] = [];
  let position = 0;
  for (const [name, bytes] of records) {
    const common = Buffer.alloc(26);
    common.writeUInt32LE(crc32(bytes), 10);
    common.writeUInt32LE(bytes.length, 14);
    common.writeUInt32LE(bytes.length, 18);
    common.writeUInt16LE(name.length, 22);
    parts.push(Buffer.of(0x50, 0x4b, 3, 4), common, Buffer.from(name), bytes);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(position, 10);
    directory.push(Buffer.of(0x50, 0x4b, 1, 2, 0, 0), common, rest, Buffer.from(name));
    position += 30 + name.length + bytes.length;
  }
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(records.length, 8);
  end.writeUInt16LE(records.length, 10);
  end.writeUInt32LE(Buffer.concat(directory).length, 12);
  end.writeUInt32LE(position, 16);
  return Buffer.concat([...parts, ...directory, end]);
}

/** An ONNX model of initializers alone, with float32 zeros in the file or, if `beside` names one, in another file. */
export function onnxFile(shapes: Shapes, beside?: string): Buffer {
  let offset = 0;
  const tensors = [...shapes].map(([name, shape]) => {
    const length = 4 * sizeOf(shape);
    const place = { location: `${beside}`, offset: `${offset}`, length: `${length}` };
    offset += length;
    const data =
      beside === undefined
        ? [field(9, Buffer.alloc(length))]
        : [...Object.entries(place).map(([key, value]) => field(13, pair(key, value))), number(14, 1)];
    return Buffer.concat([...shape.map((n) => number(1, n)), number(2, 1), field(8, Buffer.from(name)), ...data]);
  });
  return Buffer.concat([number(1, 8), field(7, Buffer.concat(tensors.map((tensor) => field(5, tensor))))]);
}

const pair = (key: string, value: string) => Buffer.concat([field(1, Buffer.from(key)), field(2, Buffer.from(value))]);
const number = (index: number, value: number) => Buffer.concat([varint(8 * index), varint(value)]);
const field = (index: number, bytes: Buffer) => Buffer.concat([varint(8 * index + 2), varint(bytes.length), bytes]);

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return Buffer.of(...bytes, rest);
}
