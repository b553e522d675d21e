// Weights that consist of rows of several tensors in a GGUF file. For example, the file can store all experts of a
// layer as one tensor, or a gate apart from the projection that it multiplies.

import type { Device } from '../../core/device.js';
import { ggmlLayouts } from '../../io/ggml-types.js';
import type { GgufTensor } from '../../io/gguf.js';
import type { StoredBlocks, WeightEntry } from '../../models/weight-entry.js';
import { transposedEach } from '../../nn/stored-layout.js';
import type { BlockReader } from './block-reader.js';

/** A source of rows: a tensor, from row `first` on. */
export interface RowSource {
  readonly tensor: GgufTensor;
  readonly first: number;
}

/** The sources of a composed tensor, and the order of its rows. */
export interface Composition {
  /** The shape in the checkpoint. */
  readonly shape: readonly number[];
  readonly rows: number;
  readonly columns: number;
  readonly sources: readonly RowSource[];
  /** Returns the source of a row, and the row's number in it. Rows of a source must be in order. */
  readonly sourceOf: (row: number) => readonly [source: number, row: number];
  /** Number of matrices that the checkpoint stores transposed, as [in, out]; 0 if it stores none transposed. */
  readonly transposed: number;
  /** The order of groups of columns, if it differs from the checkpoint's. */
  readonly columnOrder?: ColumnOrder | undefined;
  /** True if the checkpoint stores the logarithm of the negated values. */
  readonly isLogarithm?: boolean;
}

/** An order of groups of columns. */
export interface ColumnOrder {
  /** Number of columns of a group. */
  readonly size: number;
  /** The source's group for each group. */
  readonly from: readonly number[];
}

/** Number of values that are unpacked at a time. */
const VALUES_PER_READ = 1 << 18;

/** A tensor whose rows are rows of others. */
export class ComposedWeight implements WeightEntry {
  /** The type of unpacked values. Blocks that cannot stay packed become halves. */
  readonly dtype: 'F32' | 'F16';
  readonly shape: readonly number[];
  readonly size: number;

  constructor(
    private readonly rows: Composition,
    private readonly reader: BlockReader,
  ) {
    this.shape = rows.shape;
    this.size = rows.rows * rows.columns;
    this.dtype = this.isUnpacked ? 'F16' : 'F32';
  }

  /** True if the groups of columns do not consist of whole blocks of the file. */
  get isUnpacked(): boolean {
    const { columnOrder, sources } = this.rows;
    return (
      columnOrder !== undefined &&
      sources.some(({ tensor }) => columnOrder.size % ggmlLayouts[tensor.type].elements !== 0)
    );
  }

  get file(): { type: string; byteLength: number } {
    const types = new Set(this.tensors.map(({ type }) => type));
    const bytes = this.rows.sources.map(({ tensor }) => tensor.byteLength);
    return { type: [...types].join('+'), byteLength: bytes.reduce((sum, size) => sum + size, 0) };
  }

  get fileOffset(): number {
    return Math.min(...this.tensors.map(({ position }) => position));
  }

  get tensors(): readonly GgufTensor[] {
    return this.rows.sources.map(({ tensor }) => tensor);
  }

  /** Undefined if the sources have several formats or one without blocks, or if groups of columns cut blocks. */
  blocks(device: Device): StoredBlocks | undefined {
    const { rows, columns, sources, columnOrder } = this.rows;
    const formats = sources.map(({ tensor }) => this.reader.formatOf(device, tensor, columns));
    const [format] = formats;
    if (
      this.shape.length < 2 ||
      columns === 1 ||
      format === undefined ||
      formats.some((blockFormat) => blockFormat !== format)
    )
      return undefined;
    if (columnOrder !== undefined && columnOrder.size % format.inputs !== 0) return undefined;
    const rowBytes = (columns / format.inputs) * format.blockBytes;
    return {
      format: format.name,
      shape: [rows, columns],
      unit: 1,
      read: async (buffer, from) => {
        await this.#gather(buffer, from / rowBytes, rowBytes, ({ tensor }, first, count) => {
          const bytes = new Uint8Array(count * rowBytes);
          return this.reader.fill(tensor, bytes, first * rowBytes).then(() => bytes);
        });
        if (columnOrder !== undefined) reorder(buffer, rowBytes, columnOrder);
      },
    };
  }

  data(): never {
    throw new TypeError('a composed tensor is read by stream()');
  }

  async *stream(_buffer: Uint8Array, multiple: number, device: Device): AsyncGenerator<Float32Array> {
    const { rows, columns, transposed, columnOrder, isLogarithm = false } = this.rows;
    const whole = Math.max(1, multiple / columns);
    const step =
      transposed > 0 ? rows / transposed : whole * Math.max(1, Math.floor(VALUES_PER_READ / columns / whole));
    for (let row = 0; row < rows; row += step) {
      const values = new Float32Array(Math.min(step, rows - row) * columns);
      await this.#gather(values, row, columns, ({ tensor }, first, count) =>
        this.reader.values(device, tensor, first * columns, count * columns),
      );
      if (columnOrder !== undefined) reorder(values, columns, columnOrder);
      if (isLogarithm) for (let i = 0; i < values.length; i++) values[i] = Math.log(-(values[i] as number));
      yield transposed > 0 ? transposedEach(values, [rows / transposed, columns]) : values;
    }
  }

  /** Fills `into` with rows of `width` elements, from row `first` on. Each source is read once. */
  async #gather<Values extends Float32Array | Uint8Array>(
    into: Values,
    first: number,
    width: number,
    read: (source: RowSource, first: number, count: number) => Promise<Values>,
  ): Promise<void> {
    const { sourceOf, sources } = this.rows;
    const sourceRows = Array.from({ length: into.length / width }, (_, i) => sourceOf(first + i));
    for (const [number, source] of sources.entries()) {
      const rowsHere = sourceRows.flatMap(([sourceIndex, row], i) =>
        sourceIndex === number ? [[row, i] as const] : [],
      );
      const [start, end] = [rowsHere[0]?.[0] ?? 0, (rowsHere.at(-1)?.[0] ?? -1) + 1];
      if (start >= end) continue;
      const values = await read(source, source.first + start, end - start);
      for (const [row, i] of rowsHere)
        into.set(values.subarray((row - start) * width, (row - start + 1) * width), i * width);
    }
  }
}

/** Reorders the groups of columns in each row. A row has `width` elements: values, or bytes of blocks. */
function reorder(rows: Float32Array | Uint8Array, width: number, { from }: ColumnOrder): void {
  const size = width / from.length;
  for (let start = 0; start < rows.length; start += width) {
    const row = rows.slice(start, start + width);
    for (const [to, group] of from.entries())
      rows.set(row.subarray(group * size, (group + 1) * size), start + to * size);
  }
}

/**
 * Returns the rows of one source from the values of a composed tensor, or from rows of its blocks: `ComposedWeight` in
 * reverse. `width`: elements of a row.
 */
export function rowsOfSource<Values extends Float32Array | Uint8Array>(
  composed: Values,
  { rows, sources, sourceOf }: Composition,
  tensor: GgufTensor,
  width: number,
): Values {
  const { size: count } = new Set(sources.map((source) => source.tensor));
  const own = composed.slice(0, (rows / count) * width) as Values;
  for (let row = 0; row < rows; row++) {
    const [number, inSource] = sourceOf(row);
    const source = sources[number] as RowSource;
    if (source.tensor === tensor)
      own.set(composed.subarray(row * width, (row + 1) * width), (source.first + inSource) * width);
  }
  return own;
}

/** Returns the values of one source of a composed tensor. `values`: as the checkpoint stores them. */
export function valuesOfSource(values: Float32Array, composition: Composition, tensor: GgufTensor): Float32Array {
  const { rows, columns, transposed, columnOrder, isLogarithm = false } = composition;
  const rowMajor = transposed > 0 ? transposedEach(values, [columns, rows / transposed]) : values;
  const own = rowsOfSource(rowMajor, composition, tensor, columns);
  if (columnOrder !== undefined) {
    const from = columnOrder.from.map((_, group) => columnOrder.from.indexOf(group));
    reorder(own, columns, { ...columnOrder, from });
  }
  return isLogarithm ? own.map((value) => -Math.exp(value)) : own;
}
