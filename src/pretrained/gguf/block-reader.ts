// Reads blocks and values of tensors in a GGUF file.

import type { Device } from '../../core/device.js';
import { FormatError } from '../../core/errors.js';
import { type ByteSource, bytesOf } from '../../io/byte-source.js';
import { dtypes, quote } from '../../io/dtypes.js';
import { type GgmlType, ggmlLayouts } from '../../io/ggml-types.js';
import type { GgufTensor } from '../../io/gguf.js';
import { floatsOfBlocks } from '../../ops/packed.js';
import { CONVERTED, isConverted } from './converted-names.js';

/** Types of single numbers, which are read without the engine. */
const PLAIN = ['F32', 'F16', 'BF16'] as const;
type PlainType = (typeof PLAIN)[number];

const isPlain = (type: GgmlType): type is PlainType => (PLAIN as readonly GgmlType[]).includes(type);

/** Returns the engine's format for a type of tensor; undefined if it has none. */
function formatFor(device: Device, type: GgmlType) {
  return [...device.formats.values()].find(({ ggufName }) => ggufName === type);
}

/** Throws FormatError, which names the tensor, for an unsupported type. */
export function checkReadable(device: Device, name: string, type: GgmlType): void {
  if (isPlain(type) || isConverted(type) || formatFor(device, type) !== undefined) return;
  const engine = [...device.formats.values()].flatMap(({ ggufName = [] }) => ggufName);
  const known = new Set([...PLAIN, ...engine, ...Object.keys(CONVERTED)]);
  throw new FormatError(
    `tensor ${quote(name)} is of type ${type}, which is not supported, expected one of ${[...known].join(' ')}`,
  );
}

/** Reads the blocks and values of a file's tensors. */
export class BlockReader {
  constructor(private readonly source: ByteSource) {}

  /** Returns the engine's format of a tensor; undefined if it has none for rows of this width. */
  formatOf(device: Device, { type }: GgufTensor, columns: number) {
    const format = isConverted(type) ? device.formats.get(CONVERTED[type].format) : formatFor(device, type);
    return format !== undefined && columns % format.inputs === 0 ? format : undefined;
  }

  /** Fills `buffer` with blocks in the engine's format, beginning at byte `from` of the blocks. */
  async fill({ type, position }: GgufTensor, buffer: Uint8Array, from: number): Promise<void> {
    if (!isConverted(type)) return fill(this.source, position + from, buffer);
    const { converted } = await import('./converted-types.js');
    const [width, firstBlock] = [ggmlLayouts[type].bytes, from / CONVERTED[type].bytes];
    const count = buffer.length / CONVERTED[type].bytes;
    buffer.set(converted(type, await bytesOf(this.source, position + firstBlock * width, count * width)));
  }

  /** Returns `count` values, beginning at number `start`. Both must be multiples of the block size. */
  async values(device: Device, tensor: GgufTensor, start: number, count: number): Promise<Float32Array> {
    const { elements, bytes: width } = ggmlLayouts[tensor.type];
    const position = tensor.position + (start / elements) * width;
    return valuesOf(device, tensor, await bytesOf(this.source, position, (count / elements) * width));
  }
}

/** Unpacks whole blocks. The engine treats each block as a row. */
async function valuesOf(device: Device, { name, type }: GgufTensor, bytes: Uint8Array): Promise<Float32Array> {
  if (isPlain(type)) {
    const { array, decode, bytes: width } = dtypes[type];
    const copy = bytes.slice(); // aligned, and independent of the file's bytes
    return decode(new array(copy.buffer, 0, copy.length / width)) as Float32Array;
  }
  checkReadable(device, name, type);
  if (isConverted(type)) return (await import('./converted-types.js')).unpacked(type, bytes);
  const { elements, bytes: width } = ggmlLayouts[type];
  return floatsOfBlocks(device, formatFor(device, type)?.name as string, [bytes.length / width, elements], bytes);
}

async function fill(source: ByteSource, position: number, into: Uint8Array): Promise<void> {
  await (source.readAsync ? source.readAsync(position, into) : source.read(position, into));
}
