// Converts between the layouts of parameters and of state dicts: matrices are transposed, and rows can have another
// order.

import { lastOf, type Shape } from '../core/tensor.js';
import { affineInto } from '../ops/binary.js';
import { layoutOf, type StatePiece } from './state-names.js';

/** Converts the values of a piece, row-major as in memory, to the layout of a state dict. */
export function toStored(piece: StatePiece, values: Float32Array): Float32Array {
  const { tensor, transposed, start, end, order, stacked = 1 } = piece;
  if (stacked > 1) return restack(values, [tensor.shape[0] as number, stacked]);
  const shape = [...tensor.shape.slice(0, -1), end - start];
  const stored = transposed ? transpose(values, shape) : values;
  return order ? reorder(stored, order, (row) => [row, order[row] as number]) : stored;
}

/** Writes a state dict's values of a piece into its tensor. */
export function writeStored(piece: StatePiece, stored: Float32Array): void {
  const { tensor, transposed, start, end, order, stacked = 1 } = piece;
  if (stacked > 1) {
    tensor.write(restack(stored, [stacked, tensor.shape[0] as number]));
    return;
  }
  const rows = order ? reorder(stored, order, (row) => [order[row] as number, row]) : stored;
  const values = transposed ? transpose(rows, layoutOf(piece)) : rows;
  if (start === 0 && end === (tensor.shape.at(-1) ?? 1)) {
    tensor.write(values);
    return;
  }
  const { device } = tensor;
  device.unscoped(() => {
    const columns = tensor.columns(start, end);
    const source = device.tensor(values, columns.shape);
    affineInto(source, columns, 1, false);
    source.dispose();
    columns.dispose();
  });
}

/** Exchanges the first two dimensions: [outer, inner, …] → [inner, outer, …]. */
function restack(values: Float32Array, [outer, inner]: readonly [number, number]): Float32Array {
  const width = values.length / outer / inner;
  const moved = new Float32Array(values.length);
  for (let o = 0; o < outer; o++)
    for (let i = 0; i < inner; i++) {
      const from = (o * inner + i) * width;
      moved.set(values.subarray(from, from + width), (i * outer + o) * width);
    }
  return moved;
}

/** Reorders rows. `indicesOf` returns the target and the source index of a row. */
function reorder(
  values: Float32Array,
  order: Int32Array,
  indicesOf: (row: number) => readonly [to: number, from: number],
): Float32Array {
  const cols = values.length / order.length;
  const moved = new Float32Array(values.length);
  for (let row = 0; row < order.length; row++) {
    const [to, from] = indicesOf(row);
    moved.set(values.subarray(from * cols, (from + 1) * cols), to * cols);
  }
  return moved;
}

/** Transposes each of several consecutive matrices [rows, cols]. */
export function transposedEach(values: Float32Array, [rows, cols]: readonly [number, number]): Float32Array {
  const size = rows * cols;
  if (size === values.length) return transpose(values, [rows, cols]);
  const all = new Float32Array(values.length);
  for (let start = 0; start < values.length; start += size)
    all.set(transpose(values.subarray(start, start + size), [rows, cols]), start);
  return all;
}

/** Transposes a matrix of the given shape in blocks that fit into the L1 cache. */
export function transpose(values: Float32Array, shape: Shape): Float32Array {
  const cols = lastOf(shape);
  const rows = values.length / cols;
  const transposed = new Float32Array(values.length);
  const block = 32;
  for (let top = 0; top < rows; top += block) {
    const bottom = Math.min(rows, top + block);
    for (let left = 0; left < cols; left += block) {
      const right = Math.min(cols, left + block);
      for (let r = top; r < bottom; r++)
        for (let c = left; c < right; c++) transposed[c * rows + r] = values[r * cols + c] as number;
    }
  }
  return transposed;
}
