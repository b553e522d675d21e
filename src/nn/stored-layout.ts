// Converts between the layouts of parameters and of state dicts: matrices are transposed, and rows can have another
// order.

import { lastOf, type Shape } from '../core/tensor.js';
import { affineInto } from '../ops/binary.js';
import { type StatePiece, shapeOf } from './state-names.js';

/** Converts the values of a piece, row-major by its tensor's columns, to the layout of a state dict. */
export function arrange({ tensor, transposed, start, end, order }: StatePiece, values: Float32Array): Float32Array {
  const shape = [...tensor.shape.slice(0, -1), end - start];
  const stored = transposed ? transpose(values, shape) : values;
  return order ? reorder(stored, order, (row) => [row, order[row] as number]) : stored;
}

/** Writes a state dict's values of a piece into its tensor. */
export function spread(piece: StatePiece, stored: Float32Array): void {
  const { tensor, transposed, start, end, order } = piece;
  const rows = order ? reorder(stored, order, (row) => [order[row] as number, row]) : stored;
  const values = transposed ? transpose(rows, shapeOf(piece)) : rows;
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

/** Copies rows in another order; `places` gives the target and the source of each. */
function reorder(
  values: Float32Array,
  order: Int32Array,
  places: (row: number) => readonly [to: number, from: number],
): Float32Array {
  const cols = values.length / order.length;
  const moved = new Float32Array(values.length);
  for (let row = 0; row < order.length; row++) {
    const [to, from] = places(row);
    moved.set(values.subarray(from * cols, (from + 1) * cols), to * cols);
  }
  return moved;
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
