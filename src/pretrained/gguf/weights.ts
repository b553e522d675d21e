// The tensors of a GGUF file, with the names, shapes and row order of transformers' checkpoints.

import type { Device } from '../../core/device.js';
import { FormatError } from '../../core/errors.js';
import type { ByteSource } from '../../io/byte-source.js';
import { quote } from '../../io/dtypes.js';
import { ggmlLayouts } from '../../io/ggml-types.js';
import type { Gguf, GgufTensor } from '../../io/gguf.js';
import type { GgufFamily, GgufHeads, GgufJoin, GgufSettings } from '../../models/family.js';
import type { StoredBlocks, WeightEntry } from '../../models/weight-entry.js';
import { transpose } from '../../nn/stored-layout.js';
import { BlockReader } from './block-reader.js';
import { type ColumnOrder, ComposedWeight, type Composition } from './composed.js';
import type { GgufMetadata } from './metadata.js';

/** Differences between a tensor's layout in the file and in transformers. */
export interface GgufStorage {
  /** Rows of a head, if rotated pairs lie side by side instead of in halves; null for other tensors. */
  readonly headSize: number | null;
  /** True if the file stores [out, in] and checkpoints store [in, out]. */
  readonly transposed: boolean;
  /** Constant that the file adds to the checkpoint's values. Reading subtracts it. */
  readonly plus: number;
  /** The change of values or of the shape in the checkpoint, if there is one; see `GgufFamily`. */
  readonly stored: 'logarithm' | 'vector' | 'taps' | 'row' | null;
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
    private readonly reader: BlockReader,
  ) {
    this.dtype = tensor.type === 'F16' || tensor.type === 'BF16' ? tensor.type : 'F32';
    this.size = tensor.shape.reduce((product, n) => product * n, 1);
    this.shape = shapeOf(tensor, storage);
  }

  get file(): GgufTensor {
    return this.tensor;
  }

  /** Position in the file. Tensors are read in this order. */
  get fileOffset(): number {
    return this.tensor.position;
  }

  /** Undefined for vectors, for values with an added constant, and for halves whose rows do not fill blocks. */
  blocks(device: Device): StoredBlocks | undefined {
    const { headSize, plus, stored } = this.storage;
    const [rows, columns, ...outerSizes] = this.tensor.shape;
    if (rows === undefined || columns === undefined || plus !== 0 || stored !== null) return undefined;
    // The checkpoint has the matrices of experts one after the other, too.
    const all = [rows, columns, ...outerSizes].slice(0, -1).reduce((product, n) => product * n, 1);
    const width = outerSizes.at(-1) ?? columns;
    const format = this.reader.formatOf(device, this.tensor, width);
    if (format === undefined) return undefined;
    const rowBytes = (width / format.inputs) * format.blockBytes;
    return {
      format: format.name,
      shape: [all, width],
      unit: headSize ?? 1,
      read: async (buffer, from) => {
        await this.reader.fill(this.tensor, buffer, from);
        if (headSize !== null) pairsToHalves(buffer, headSize, rowBytes);
      },
    };
  }

  data(): never {
    throw new FormatError(`tensor ${quote(this.tensor.name)} cannot be read synchronously`);
  }

  async *stream(_buffer: Uint8Array, multiple: number, device: Device): AsyncGenerator<Float32Array> {
    const { headSize, transposed } = this.storage;
    const columns = this.tensor.shape.at(-1) ?? 1;
    const unit = Math.max(
      multiple,
      ggmlLayouts[this.tensor.type].elements,
      headSize === null ? columns : headSize * columns,
    );
    const step = transposed ? this.size : Math.max(unit, unit * Math.floor(VALUES_PER_READ / unit));
    for (let start = 0; start < this.size; start += step)
      yield this.#read(device, start, Math.min(step, this.size - start));
  }

  /** Reads values from `start` on. Both numbers are multiples of a row or of a head. */
  async #read(device: Device, start: number, count: number): Promise<Float32Array> {
    const { tensor, storage } = this;
    const values = await this.reader.values(device, tensor, start, count);
    if (storage.stored === 'logarithm') for (let i = 0; i < count; i++) values[i] = Math.log(-(values[i] as number));
    if (storage.plus !== 0) for (let i = 0; i < count; i++) values[i] = (values[i] as number) - storage.plus;
    const columns = tensor.shape.at(-1) ?? 1;
    if (storage.transposed) return transpose(values, [count / columns, columns]);
    const lineWidth = tensor.shape.length > 1 ? columns : 1;
    if (storage.headSize !== null) pairsToHalves(values, storage.headSize, lineWidth);
    return values;
  }
}

/** The shape in a checkpoint. */
function shapeOf({ shape }: GgufTensor, { transposed, stored }: GgufStorage): readonly number[] {
  if (stored === 'taps') return [shape[0] as number, 1, ...shape.slice(1)];
  const all = shape.reduce((product, n) => product * n, 1);
  if (stored === 'row') return [1, all];
  if (stored !== null) return [all];
  return transposed ? [...shape].reverse() : shape;
}

/** Values that are unpacked at a time. */
const VALUES_PER_READ = 1 << 18;

/** Moves row 2i + j of each head to row j · headSize / 2 + i. Rows have `columns` values or bytes. */
function pairsToHalves(values: Float32Array | Uint8Array, headSize: number, columns: number): void {
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

/** The name of a tensor in a checkpoint, and the pattern that matched. */
interface Renamed {
  readonly name: string;
  readonly pattern: string;
}

const LAYER = /(?<=blk\.)\d+/;
/** The number of a tensor's layer, or `*` for a tensor of no layer. */
const layerOf = (name: string) => LAYER.exec(name)?.[0] ?? '*';

/** The pattern of a name: a star in place of the layer. */
export const patternOf = (name: string) => name.replace(LAYER, '*');

/**
 * Renames a tensor by its whole pattern, or by that without `.weight` or `.bias`, which then stays. Returns undefined
 * if no pattern fits.
 */
function renamed(names: GgufFamily['names'], name: string): Renamed | undefined {
  const number = layerOf(name);
  const end = name.lastIndexOf('.');
  const targetOf = (pattern: string) => (Object.hasOwn(names, pattern) ? names[pattern] : undefined);
  const whole = targetOf(patternOf(name));
  if (whole !== undefined) return { name: whole.replace('*', number), pattern: patternOf(name) };
  const pattern = patternOf(name.slice(0, end));
  const target = targetOf(pattern);
  return target === undefined ? undefined : { name: target.replace('*', number) + name.slice(end), pattern };
}

/** Tensors of rotary positions, which become entries of the config. */
const OF_POSITIONS = /^rope_(freqs|factors_long|factors_short)\.weight$/;

/** The weights of a file by transformers' names. Unknown tensors keep their own names. */
export function ggufWeights(
  { tensors }: Gguf,
  metadata: GgufMetadata,
  architecture: GgufFamily,
  source: ByteSource,
  settings: GgufSettings,
): Map<string, GgufWeight | ComposedWeight> {
  const weights = new Map<string, GgufWeight | ComposedWeight>();
  const reader = new BlockReader(source);
  const isNeeded = (name: string) => !OF_POSITIONS.test(name) && !(Number(layerOf(name)) >= settings.layers);
  const parts = new Map(
    (architecture.joined ?? []).flatMap((join) => join.of.map((pattern) => [pattern, join] as const)),
  );
  for (const [tensorName, tensor] of tensors) {
    if (!isNeeded(tensorName)) continue;
    const joined = parts.get(patternOf(tensorName));
    const found = renamed(architecture.names, tensorName);
    if (joined !== undefined && (found === undefined || hasAllParts(tensorName, tensors, joined))) {
      const name = joined.name.replace('*', layerOf(tensorName));
      const stored = architecture.stored?.[patternOf(tensorName)] ?? null;
      if (!weights.has(name))
        weights.set(name, new ComposedWeight(joinedRows(tensorName, tensors, joined, stored, settings), reader));
      continue;
    }
    const last = found?.pattern.split('.').at(-1) as string;
    const storage = storageOf(tensor, last, architecture, metadata);
    const name = found?.name ?? tensorName;
    if (!name.includes('#')) weights.set(name, new GgufWeight(tensor, storage, reader));
    else
      for (const [expert, rows] of expertRows(tensor).entries())
        weights.set(name.replace('#', String(expert)), new ComposedWeight(rows, reader));
  }
  return weights;
}

/** Returns how a file of this architecture stores a tensor. `last`: the last part of the tensor's pattern. */
export function storageOf(tensor: GgufTensor, last: string, family: GgufFamily, metadata: GgufMetadata): GgufStorage {
  const { plusOne = false, pairedRows, inOut, stored } = family;
  const isPlus = typeof plusOne === 'boolean' ? plusOne && tensor.name.endsWith('norm.weight') : plusOne.includes(last);
  return {
    headSize: pairedRows?.includes(last) ? headSizeOf(tensor, metadata, last) : null,
    transposed: tensor.shape.length === 2 && (inOut?.includes(last) ?? false),
    plus: isPlus ? 1 : 0,
    stored: stored?.[patternOf(tensor.name)] ?? null,
  };
}

/** True if the file has all tensors of a weight in the layer of `name`. */
function hasAllParts(name: string, tensors: Gguf['tensors'], { of }: GgufJoin): boolean {
  return of.every((pattern) => tensors.has(pattern.replace('*', layerOf(name))));
}

/** The matrix of each expert in a tensor [experts, out, in], or each vector of [heads, size]. */
function expertRows(tensor: GgufTensor): Composition[] {
  const isTable = tensor.shape.length === 2;
  const [experts = 0, rows = 0, columns = 0] = isTable ? [tensor.shape[0], 1, tensor.shape[1]] : tensor.shape;
  if (columns === 0 || tensor.shape.length > 3)
    throw new FormatError(`tensor ${quote(tensor.name)} is [${tensor.shape.join(', ')}], expected [experts, out, in]`);
  return Array.from({ length: experts }, (_, expert) => ({
    shape: isTable ? [columns] : [rows, columns],
    rows,
    columns,
    transposed: 0,
    sources: [{ tensor, first: expert * rows }],
    sourceOf: (row: number) => [0, row] as const,
  }));
}

/** Composes a weight of several tensors in the layer of `name`, or of one tensor whose heads are in another order. */
export function joinedRows(
  name: string,
  tensors: Gguf['tensors'],
  { of, alternating, inOut, flat, perHead }: GgufJoin,
  stored: GgufStorage['stored'],
  settings: GgufSettings,
): Composition {
  const found = partsOf(name, of, tensors);
  const [first] = found as [GgufTensor];
  const isVector = name.endsWith('.bias') || first.shape.length === 1;
  const shape = isVector ? [...first.shape, 1] : first.shape;
  checkSameShape(found, shape);
  const [columns, headRows] = [shape.at(-1) as number, shape.at(-2) as number];
  const experts = shape.length === 3 ? (shape[0] as number) : 1;
  const count = found.length;
  const rows = experts * count * headRows;
  const heads = perHead?.(settings);
  const headOrdered = heads && !heads.inColumns ? headOrder(first, headRows, heads) : null;
  const sourceOfRow = (row: number): readonly [number, number] => {
    const [expert, rowInExpert] = [Math.floor(row / (count * headRows)), row % (count * headRows)];
    const [source, inSource] = alternating
      ? [rowInExpert % count, Math.floor(rowInExpert / count)]
      : [Math.floor(rowInExpert / headRows), rowInExpert % headRows];
    return [source, expert * headRows + inSource];
  };
  const lead = shape.length === 3 ? [experts] : [];
  const matrix = inOut ? [columns, count * headRows] : [count * headRows, ...tapsOf(stored), columns];
  const nested = [...lead, ...(isVector ? [count * headRows] : matrix)];
  return {
    shape: flat ? asMatrix(nested) : nested,
    rows,
    columns,
    transposed: inOut && !isVector ? experts : 0,
    sources: headOrdered?.sources ?? found.map((tensor) => ({ tensor, first: 0 })),
    sourceOf: headOrdered?.sourceOf ?? sourceOfRow,
    columnOrder: heads?.inColumns ? columnOrder(first, columns, heads) : undefined,
    isLogarithm: stored === 'logarithm',
  };
}

/** Returns the dimension of size 1 before the taps of a depthwise convolution in a checkpoint. */
const tapsOf = (stored: GgufStorage['stored']) => (stored === 'taps' ? [1] : []);

/** Flattens all dimensions but the last one. */
function asMatrix(shape: readonly number[]): number[] {
  return [shape.slice(0, -1).reduce((a, b) => a * b, 1), shape.at(-1) as number];
}

/** Returns the tensors of these patterns in the layer of `tensorName`. Throws FormatError if one is missing. */
function partsOf(tensorName: string, patterns: readonly string[], tensors: Gguf['tensors']): GgufTensor[] {
  return patterns.map((pattern) => {
    const name = pattern.replace('*', layerOf(tensorName));
    const tensor = tensors.get(name);
    if (tensor === undefined) throw new FormatError(`the file has no tensor ${name}, which belongs to ${tensorName}`);
    return tensor;
  });
}

/**
 * Throws FormatError unless all tensors have the same shape. `shape`: that of the first one, with 2 or 3 dimensions.
 */
function checkSameShape(found: readonly GgufTensor[], shape: readonly number[]): void {
  const [first] = found as [GgufTensor];
  const other = found.find((tensor) => `${tensor.shape}` !== `${first.shape}`);
  if (other === undefined && (shape.length === 2 || shape.length === 3)) return;
  const { name, shape: wrong } = other ?? first;
  throw new FormatError(`tensor ${quote(name)} is [${wrong.join(', ')}], expected the shape of ${quote(first.name)}`);
}

/** Returns the number of rows or columns of a head. Throws FormatError if it is not an integer. */
function sizeOfHeads(
  { name }: GgufTensor,
  count: number,
  kind: string,
  { groups, heads, before = 0 }: GgufHeads,
): number {
  const all = groups * heads.reduce((sum, headsOfSection) => sum + headsOfSection, 0);
  const size = (count - before) / all;
  if (Number.isInteger(size) && size > 0) return size;
  const afterFirst = before > 0 ? ` after the first ${before}` : '';
  throw new FormatError(`tensor ${quote(name)} has ${count} ${kind}, expected a multiple of ${all} heads${afterFirst}`);
}

/** Returns the order of rows in a checkpoint, where each group of heads has its part of all sections. */
function headOrder(tensor: GgufTensor, rows: number, order: GgufHeads): Pick<Composition, 'sources' | 'sourceOf'> {
  const { groups, heads, before = 0 } = order;
  const headSize = sizeOfHeads(tensor, rows, 'rows', order);
  const all = heads.reduce((sum, count) => sum + count, 0);
  const starts = heads.map((_, i) => heads.slice(0, i).reduce((sum, count) => sum + count, 0) * headSize);
  return {
    sources: [0, ...starts.map((start) => before + groups * start)].map((first) => ({ tensor, first })),
    sourceOf: (row) => {
      if (row < before) return [0, row];
      const [group, rowInGroup] = [Math.floor((row - before) / (all * headSize)), (row - before) % (all * headSize)];
      const section = starts.findLastIndex((start) => start <= rowInGroup);
      return [section + 1, group * (heads[section] as number) * headSize + rowInGroup - (starts[section] as number)];
    },
  };
}

/** Returns the order of columns in a checkpoint, as `headOrder` does for rows. Undefined if it is the same. */
function columnOrder(tensor: GgufTensor, columns: number, order: GgufHeads): ColumnOrder | undefined {
  if (order.groups === 1 || order.heads.length === 1) return undefined;
  const size = sizeOfHeads(tensor, columns, 'columns', order);
  const { sources, sourceOf } = headOrder(tensor, columns / size, order);
  const from = Array.from({ length: columns / size }, (_, head) => {
    const [section, index] = sourceOf(head);
    return (sources[section]?.first as number) + index;
  });
  return { size, from };
}

/** Returns the number of key heads in layers with attention. */
function keyHeads(metadata: GgufMetadata): number {
  const listed = metadata.listed('attention.head_count_kv');
  if (listed !== undefined) return Math.max(1, ...listed);
  return metadata.architectureNumber('attention.head_count_kv') ?? metadata.needed('attention.head_count');
}

function headSizeOf({ name, shape }: GgufTensor, metadata: GgufMetadata, last: string): number {
  const heads = metadata.needed('attention.head_count');
  const groups = last === 'attn_k' ? keyHeads(metadata) : heads;
  const size = (shape[0] as number) / groups;
  if (Number.isInteger(size) && size % 2 === 0) return size;
  throw new FormatError(`tensor ${quote(name)} has ${shape[0]} rows for ${groups} heads, expected an even number each`);
}
