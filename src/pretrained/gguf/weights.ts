// The tensors of a GGUF file, with the names, shapes and row order of transformers' checkpoints.

import { FormatError } from '../../core/errors.js';
import type { Device } from '../../core/tensor.js';
import { bytesOf } from '../../io/byte-source.js';
import { dtypes, quote } from '../../io/dtypes.js';
import { type GgmlType, ggmlLayouts } from '../../io/ggml-types.js';
import type { Gguf, GgufTensor } from '../../io/gguf.js';
import type { ByteSource } from '../../io/safetensors.js';
import type { GgufFamily } from '../../models/family.js';
import type { StoredBlocks, WeightEntry } from '../../models/weight-entry.js';
import { transpose } from '../../nn/stored-layout.js';
import { floatsOfBlocks } from '../../ops/packed.js';
import { CONVERTED, type ConvertedType, isConverted } from './converted-names.js';
import type { GgufMetadata } from './metadata.js';

/** Differences between a tensor's layout in the file and in transformers. */
export interface GgufStorage {
  /** Rows of a head whose pairs lie side by side instead of in halves; null for other tensors. */
  readonly headSize: number | null;
  /** True if the file stores [out, in] and checkpoints store [in, out]. */
  readonly transposed: boolean;
  /** Added to the values in the file. */
  readonly plus: number;
}

/** Types of single numbers, which need no engine. */
const PLAIN = ['F32', 'F16', 'BF16'] as const;
type PlainType = (typeof PLAIN)[number];

const isPlain = (type: GgmlType): type is PlainType => (PLAIN as readonly GgmlType[]).includes(type);

/** The engine's format for a type of tensor; undefined if it has none. */
function formatFor(device: Device, type: GgmlType) {
  return [...device.formats.values()].find(({ ggufName }) => ggufName === type);
}

/** Throws FormatError, naming the tensor, for a type that is not read. */
export function checkReadable(device: Device, name: string, type: GgmlType): void {
  if (isPlain(type) || isConverted(type) || formatFor(device, type) !== undefined) return;
  const engine = [...device.formats.values()].flatMap(({ ggufName = [] }) => ggufName);
  const known = new Set([...PLAIN, ...engine, ...Object.keys(CONVERTED)]);
  throw new FormatError(
    `tensor ${quote(name)} is of type ${type}, which is not read: expected one of ${[...known].join(' ')}`,
  );
}

/** A tensor of a file, read as unpacked values or as its blocks. */
export class GgufWeight implements WeightEntry {
  /** The type of unpacked values. Halves can have rows of any width. */
  readonly dtype: 'F32' | 'F16' | 'BF16';
  /** Shape in a checkpoint. */
  readonly shape: readonly number[];
  readonly size: number;

  constructor(
    readonly tensor: GgufTensor,
    readonly storage: GgufStorage,
    private readonly source: ByteSource,
  ) {
    this.dtype = tensor.type === 'F16' || tensor.type === 'BF16' ? tensor.type : 'F32';
    this.shape = storage.transposed ? [...tensor.shape].reverse() : tensor.shape;
    this.size = tensor.shape.reduce((product, n) => product * n, 1);
  }

  /** Position in the file. Tensors are read in this order. */
  get place(): number {
    return this.tensor.position;
  }

  /** Undefined for vectors, for values with an added constant, and for halves whose rows do not fill blocks. */
  blocks(device: Device): StoredBlocks | undefined {
    const { shape, type, position } = this.tensor;
    const { headSize, plus } = this.storage;
    const format = isConverted(type) ? device.formats.get(CONVERTED[type].format) : formatFor(device, type);
    const [rows, columns, ...others] = shape;
    if (format === undefined || rows === undefined || columns === undefined || others.length > 0) return undefined;
    if (plus !== 0 || columns % format.inputs !== 0) return undefined;
    const rowBytes = (columns / format.inputs) * format.blockBytes;
    return {
      format: format.name,
      shape: [rows, columns],
      unit: headSize ?? 1,
      read: async (buffer, from) => {
        if (isConverted(type)) await this.#convert(type, buffer, from);
        else await fill(this.source, position + from, buffer);
        if (headSize !== null) inHalves(buffer, headSize, rowBytes);
      },
    };
  }

  /** Fills `buffer` with converted blocks from byte `from` on. */
  async #convert(type: ConvertedType, buffer: Uint8Array, from: number): Promise<void> {
    const { converted } = await import('./converted-types.js');
    const [width, place] = [ggmlLayouts[type].bytes, from / CONVERTED[type].bytes];
    const count = buffer.length / CONVERTED[type].bytes;
    buffer.set(converted(type, await bytesOf(this.source, this.tensor.position + place * width, count * width)));
  }

  data(): never {
    throw new FormatError(`tensor ${quote(this.tensor.name)} cannot be read without waiting`);
  }

  async *stream(_buffer: Uint8Array, multiple: number, device: Device): AsyncGenerator<Float32Array> {
    const { headSize, transposed } = this.storage;
    const columns = this.tensor.shape.at(-1) ?? 1;
    const unit = Math.max(
      multiple,
      ggmlLayouts[this.tensor.type].elements,
      headSize === null ? columns : headSize * columns,
    );
    const step = transposed ? this.size : Math.max(unit, unit * Math.floor(AT_ONCE / unit));
    for (let start = 0; start < this.size; start += step)
      yield this.#read(device, start, Math.min(step, this.size - start));
  }

  /** Reads values from `start` on. Both numbers are multiples of a row or of a head. */
  async #read(device: Device, start: number, count: number): Promise<Float32Array> {
    const { tensor, storage } = this;
    const { elements, bytes: width } = ggmlLayouts[tensor.type];
    const position = tensor.position + (start / elements) * width;
    const bytes = await bytesOf(this.source, position, (count / elements) * width);
    const values = await valuesOf(device, tensor, bytes);
    if (storage.plus !== 0) for (let i = 0; i < count; i++) values[i] = (values[i] as number) - storage.plus;
    const columns = tensor.shape.at(-1) ?? 1;
    if (storage.transposed) return transpose(values, [count / columns, columns]);
    const lineWidth = tensor.shape.length > 1 ? columns : 1;
    if (storage.headSize !== null) inHalves(values, storage.headSize, lineWidth);
    return values;
  }
}

/** Values that are unpacked at a time. */
const AT_ONCE = 1 << 18;

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

/** Row 2i + j of each head becomes row j · headSize / 2 + i; rows have `columns` values, or bytes. */
function inHalves(values: Float32Array | Uint8Array, headSize: number, columns: number): void {
  const size = headSize * columns;
  const head = values.slice(0, size);
  const rows = Array.from({ length: headSize }, (_, row) => head.subarray(row * columns, (row + 1) * columns));
  for (let start = 0; start < values.length; start += size) {
    head.set(values.subarray(start, start + size));
    for (let row = 0; row < headSize; row++) {
      const to = (row & 1) * (headSize / 2) + (row >> 1);
      values.set(rows[row] as Float32Array | Uint8Array, start + to * columns);
    }
  }
}

/**
 * Renames a tensor by patterns such as `blk.*.attn_q`; undefined if no pattern fits. The suffix `.weight` or `.bias`
 * stays.
 */
function renamed(names: GgufFamily['names'], name: string): { name: string; pattern: string } | undefined {
  const end = name.lastIndexOf('.');
  const [stem, suffix] = [name.slice(0, end), name.slice(end)];
  const number = /(?<=blk\.)\d+/.exec(stem)?.[0];
  const pattern = number === undefined ? stem : stem.replace(`blk.${number}`, 'blk.*');
  const target = Object.hasOwn(names, pattern) ? names[pattern] : undefined;
  return target === undefined ? undefined : { name: target.replace('*', number ?? '*') + suffix, pattern };
}

/** Tensors of rotary positions, which become entries of the config. */
const OF_POSITIONS = /^rope_(freqs|factors_long|factors_short)\.weight$/;

/** The weights of a file by transformers' names. Unknown tensors keep their own names. */
export function ggufWeights(
  { tensors }: Gguf,
  metadata: GgufMetadata,
  architecture: GgufFamily,
  source: ByteSource,
): Map<string, GgufWeight> {
  const weights = new Map<string, GgufWeight>();
  const isGated = tensors.has('enc.blk.0.ffn_gate.weight');
  for (const [given, tensor] of tensors) {
    if (OF_POSITIONS.test(given)) continue;
    const found = renamed(architecture.names, given);
    const last = found?.pattern.split('.').at(-1) as string;
    const hasPairs = architecture.pairedRows?.includes(last) ?? false;
    const storage = {
      headSize: hasPairs ? headSizeOf(tensor, metadata, last) : null,
      transposed: tensor.shape.length === 2 && (architecture.inOut?.includes(last) ?? false),
      plus: architecture.plusOne && given.endsWith('norm.weight') ? 1 : 0,
    };
    const name = found === undefined ? given : isGated ? found.name : found.name.replace('.wi_1.', '.wi.');
    weights.set(name, new GgufWeight(tensor, storage, source));
  }
  return weights;
}

function headSizeOf({ name, shape }: GgufTensor, metadata: GgufMetadata, last: string): number {
  const heads = metadata.needed('attention.head_count');
  const groups = last === 'attn_k' ? (metadata.own('attention.head_count_kv') ?? heads) : heads;
  const size = (shape[0] as number) / groups;
  if (Number.isInteger(size) && size % 2 === 0) return size;
  throw new FormatError(`tensor ${quote(name)} has ${shape[0]} rows for ${groups} heads, expected an even number each`);
}
