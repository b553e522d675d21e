// Writes GGUF files of version 3: the header, then one tensor at a time.

import { ArgumentError, ShapeError } from '../core/errors.js';
import { inSlices } from '../core/slices.js';
import { quote } from './dtypes.js';
import { type GgmlType, ggmlNumberOf } from './ggml-types.js';
import { byteLengthOf } from './gguf.js';
import { GgufTexts } from './gguf-values.js';

/** A metadata value with its type, because the format has many types of numbers. */
export type GgufEntry =
  | { readonly uint32: number }
  | { readonly float32: number }
  | { readonly bool: boolean }
  | { readonly string: string }
  | { readonly bools: ArrayLike<boolean> }
  | { readonly strings: readonly string[] | GgufTexts }
  | { readonly float32s: ArrayLike<number> }
  | { readonly int32s: ArrayLike<number> }
  | { readonly uint8s: ArrayLike<number> };

/** A tensor to write: its row-major shape, and a function that returns its bytes on demand. */
export interface GgufPart {
  readonly name: string;
  readonly type: GgmlType;
  readonly shape: readonly number[];
  bytes(): Uint8Array | Promise<Uint8Array>;
}

const ALIGNMENT = 32;
/** Number of values of a list that are written before a pause. */
const WRITTEN_A_SLICE = 1 << 12;
const encoder = new TextEncoder();
const [UINT8, UINT32, INT32, FLOAT32, BOOL, STRING, ARRAY] = [0, 4, 5, 6, 7, 8, 9] as const;

/** A growing buffer. */
class Writer {
  #bytes = new Uint8Array(1 << 12);
  #view = new DataView(this.#bytes.buffer);
  length = 0;

  #room(count: number): number {
    const offset = this.length;
    if (offset + count > this.#bytes.byteLength) {
      const grown = new Uint8Array(Math.max(offset + count, 2 * this.#bytes.byteLength));
      grown.set(this.#bytes);
      [this.#bytes, this.#view] = [grown, new DataView(grown.buffer)];
    }
    this.length += count;
    return offset;
  }

  uint8(value: number): void {
    const offset = this.#room(1);
    this.#view.setUint8(offset, value);
  }

  uint32(value: number): void {
    const offset = this.#room(4);
    this.#view.setUint32(offset, value, true);
  }

  float32(value: number): void {
    const offset = this.#room(4);
    this.#view.setFloat32(offset, value, true);
  }

  uint64(value: number): void {
    const offset = this.#room(8);
    this.#view.setUint32(offset, value % 2 ** 32, true);
    this.#view.setUint32(offset + 4, value / 2 ** 32, true);
  }

  text(value: string): void {
    const longest = 3 * value.length;
    const offset = this.#room(8 + longest);
    const { written } = encoder.encodeInto(value, this.#bytes.subarray(offset + 8, offset + 8 + longest));
    this.length = offset;
    this.uint64(written);
    this.length += written;
  }

  raw(bytes: Uint8Array): void {
    const offset = this.#room(bytes.byteLength);
    this.#bytes.set(bytes, offset);
  }

  #beginList(type: number, length: number): void {
    this.uint32(ARRAY);
    this.uint32(type);
    this.uint64(length);
  }

  *list<T>(type: number, values: ArrayLike<T>, write: (value: T) => void): Generator<undefined, void> {
    this.#beginList(type, values.length);
    for (let i = 0; i < values.length; i++) {
      write(values[i] as T);
      if (i % WRITTEN_A_SLICE === WRITTEN_A_SLICE - 1) yield;
    }
  }

  /** Texts of another file, whose bytes are copied. */
  #texts({ length, bytes }: GgufTexts): void {
    this.#beginList(STRING, length);
    this.raw(bytes);
  }

  /** Writes a value. Pauses within long lists. */
  *entry(value: GgufEntry): Generator<undefined, void> {
    const plain = (type: number, write: () => void) => {
      this.uint32(type);
      write();
    };
    if ('uint32' in value) plain(UINT32, () => this.uint32(value.uint32));
    else if ('float32' in value) plain(FLOAT32, () => this.float32(value.float32));
    else if ('bool' in value) plain(BOOL, () => this.uint8(Number(value.bool)));
    else if ('string' in value) plain(STRING, () => this.text(value.string));
    else if ('bools' in value) yield* this.list(BOOL, value.bools, (flag) => this.uint8(Number(flag)));
    else if ('strings' in value) {
      if (value.strings instanceof GgufTexts) this.#texts(value.strings);
      else yield* this.list(STRING, value.strings, (text) => this.text(text));
    } else if ('float32s' in value) yield* this.list(FLOAT32, value.float32s, (number) => this.float32(number));
    else if ('int32s' in value) yield* this.list(INT32, value.int32s, (number) => this.uint32(number));
    else yield* this.list(UINT8, value.uint8s, (number) => this.uint8(number));
  }

  bytes(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }
}

const padded = (length: number) => Math.ceil(length / ALIGNMENT) * ALIGNMENT;

/**
 * Returns the bytes of a file, one tensor at a time. Throws FormatError for rows that are not whole blocks. Throws
 * ShapeError if a tensor's bytes do not fit its shape.
 */
export function ggufParts(
  metadata: ReadonlyMap<string, GgufEntry>,
  tensors: readonly GgufPart[],
): AsyncIterable<Uint8Array> {
  const seen = new Set<string>();
  const lengths = tensors.map(({ name, type, shape }) => {
    if (seen.has(name)) throw new ArgumentError(`tensor ${quote(name)} is given twice, expected unique names`);
    seen.add(name);
    return byteLengthOf(`tensor ${quote(name)}`, type, shape);
  });
  return contents();

  async function* contents(): AsyncGenerator<Uint8Array> {
    const header = await inSlices(ggufHeader(metadata, tensors, lengths));
    yield header;
    yield new Uint8Array(padded(header.length) - header.length);
    for (const [i, tensor] of tensors.entries()) {
      const length = lengths[i] as number;
      const bytes = await tensor.bytes();
      if (bytes.byteLength !== length)
        throw new ShapeError(`tensor ${quote(tensor.name)} gives ${bytes.byteLength} bytes, its shape needs ${length}`);
      yield bytes;
      yield new Uint8Array(padded(length) - length);
    }
  }
}

/** @internal The bytes before the tensors. Pauses within long lists. `lengths`: bytes of the tensors. */
export function* ggufHeader(
  metadata: ReadonlyMap<string, GgufEntry>,
  tensors: readonly GgufPart[],
  lengths: readonly number[],
): Generator<undefined, Uint8Array> {
  const writer = new Writer();
  writer.uint32(0x46554747);
  writer.uint32(3);
  writer.uint64(tensors.length);
  writer.uint64(metadata.size);
  for (const [name, value] of metadata) {
    writer.text(name);
    yield* writer.entry(value);
  }
  let offset = 0;
  for (const [i, { name, type, shape }] of tensors.entries()) {
    writer.text(name);
    writer.uint32(shape.length);
    for (const size of [...shape].reverse()) writer.uint64(size);
    writer.uint32(ggmlNumberOf(type));
    writer.uint64(offset);
    offset += padded(lengths[i] as number);
  }
  return writer.bytes();
}
