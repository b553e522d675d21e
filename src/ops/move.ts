// Rearranging: other orders of dimensions, parts of tensors, rows by number, ragged batches.

import { differentiable, type GradientTarget, gradOf } from '../core/autograd.js';
import { checkAxis, checkDevice, checkDType, checkShape, describeShape } from '../core/check.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import { type Shape, sizeOf, Tensor } from '../core/tensor.js';
import { contiguous } from './contiguous.js';
import { scatterGrad } from './embedding.js';
import { dimensionsOf, gridOperands, stepsOf } from './grid.js';

/** `x` with its dimensions in another order: dimension d of the result is dimension `axes[d]` of `x`. A copy. */
export function permute(x: Tensor, axes: readonly number[]): Tensor {
  const device = checkDevice('permute', { x });
  const order = axes.map((axis) => checkAxis('permute', axis, x.shape));
  if (order.length !== x.shape.length || new Set(order).size !== order.length) {
    throw new ArgumentError(`permute: [${axes.join(', ')}] is no order of the dimensions of ${describeShape(x.shape)}`);
  }
  const reorder = (values: readonly number[]) => order.map((axis) => values[axis] as number);
  const y = device.empty(reorder(x.shape), x.dtype);
  copyInto({ tensor: y, accumulate: 0 }, stepsOf(y), x, reorder(stepsOf(x)), y.shape);
  return differentiable(y, [x], (dy) => {
    const dx = gradOf(x);
    if (dx) copyInto(dx, reorder(stepsOf(dx.tensor)), dy, stepsOf(dy), y.shape);
  });
}

/** `x` with two dimensions exchanged, by default the last two. A copy. */
export function transpose(x: Tensor, a = -2, b = -1): Tensor {
  const axes = x.shape.map((_, d) => d);
  const [i, j] = [checkAxis('transpose', a, x.shape), checkAxis('transpose', b, x.shape)];
  axes[i] = j;
  axes[j] = i;
  return permute(x, axes);
}

/** Tensors joined along a dimension, in which alone their shapes may differ. */
export function concat(tensors: readonly Tensor[], axis = 0): Tensor {
  const device = checkDevice('concat', Object.fromEntries(tensors.map((tensor, i) => [`tensor ${i}`, tensor])));
  const { shape, dtype } = tensors[0] as Tensor;
  const d = checkAxis('concat', axis, shape);
  tensors.forEach((tensor, i) => {
    checkDType('concat', `tensor ${i}`, tensor, dtype);
    checkShape('concat', `tensor ${i}`, tensor, shape.with(d, tensor.shape[d] as number));
  });
  const ends = runningSums(tensors.map((tensor) => tensor.shape[d] as number));
  const y = device.empty(shape.with(d, ends.at(-1) as number), dtype);
  const place = (whole: Tensor, i: number) => part(whole, d, ends[i - 1] ?? 0, ends[i] as number);
  tensors.forEach((x, i) => {
    copyInto({ tensor: place(y, i), accumulate: 0 }, stepsOf(y), x, stepsOf(x), x.shape);
  });
  return differentiable(y, tensors, (dy) => {
    tensors.forEach((x, i) => {
      const dx = gradOf(x);
      if (dx) copyInto(dx, stepsOf(dx.tensor), place(dy, i), stepsOf(dy), x.shape);
    });
  });
}

/** Entries `start` ≤ i < `end` of a dimension. A view where that is the first or the last dimension, else a copy. */
export function slice(x: Tensor, axis: number, start: number, end: number): Tensor {
  checkDevice('slice', { x });
  const d = checkAxis('slice', axis, x.shape);
  const length = x.shape[d] as number;
  if (!(Number.isInteger(start) && Number.isInteger(end) && 0 <= start && start < end && end <= length)) {
    throw new ArgumentError(`slice: ${start} to ${end} is no part of dimension ${axis} of ${describeShape(x.shape)}`);
  }
  if (d === x.shape.length - 1) return x.columns(start, end);
  if (d === 0) return x.rows(start, end);
  return contiguous(part(contiguous(x), d, start, end)).reshape(x.shape.with(d, end - start));
}

/** Consecutive parts of a dimension with the given sizes, which add up to it; see `slice`. */
export function split(x: Tensor, sizes: readonly number[], axis: number): Tensor[] {
  const length = x.shape[checkAxis('split', axis, x.shape)] as number;
  const ends = runningSums(sizes);
  if (ends.at(-1) !== length) {
    throw new ShapeError(
      `split: sizes [${sizes.join(', ')}] do not add up to dimension ${axis} of ${describeShape(x.shape)}`,
    );
  }
  return ends.map((end, i) => slice(x, axis, ends[i - 1] ?? 0, end));
}

function runningSums(sizes: readonly number[]): number[] {
  let total = 0;
  return sizes.map((size) => {
    total += size;
    return total;
  });
}

/**
 * Entries of the first dimension by number: `y[i] = x[rows[i]]`. `rows` is int32 of any shape; the result is
 * [...rows.shape, ...x.shape without its first dimension]. A number outside `x` fails the run (CommandError).
 */
export function gather(x: Tensor, rows: Tensor): Tensor {
  const device = checkDevice('gather', { x, rows });
  checkDType('gather', 'rows', rows, 'int32');
  const [xRows, ...rest] = x.shape;
  if (xRows === undefined) throw new ShapeError('gather: x is [], expected at least one dimension');
  const matrix = asMatrix(x, xRows);
  const ids = contiguous(rows);
  const y = device.empty([...rows.shape, ...rest], x.dtype);
  const cols = sizeOf(rest);
  device.emit('gather', { x: matrix, rows: ids, y, count: rows.size, cols, xRows, xStride: matrix.rowStride });
  return differentiable(y, [matrix], (dy) => scatterGrad(matrix, dy, ids, 1));
}

/**
 * The tokens of a padded batch, end to end. `x` is [batch, time, ...], `lengths` int32 [batch] or numbers, of which item b
 * keeps its first `lengths[b]` steps; the result is [total, ...] with `total` their sum, to be given if `lengths` is a
 * tensor. Lengths that do not fit fail the run (CommandError).
 */
export function pack(x: Tensor, lengths: Tensor | readonly number[], total?: number): Tensor {
  const [batch, time, ...rest] = batchShape('pack', x);
  const count = total ?? (lengths instanceof Tensor ? undefined : lengths.reduce((sum, length) => sum + length, 0));
  if (count === undefined) throw new ArgumentError('pack: lengths is a tensor, so total, their sum, must be given');
  const counts = lengthsTensor('pack', x, lengths, batch);
  const padded = asMatrix(x, batch * time);
  const packed = x.device.empty([count, ...rest], x.dtype);
  const move = repack(counts, batch, time, count);
  move(padded, asMatrix(packed, count), true, 0);
  return differentiable(packed, [padded], (dy) => {
    const dx = gradOf(padded);
    if (dx) move(dx.tensor, asMatrix(dy, count), false, dx.accumulate);
  });
}

/** The inverse of `pack`: [total, ...] becomes [batch, time, ...], zero after each item's length. */
export function unpack(x: Tensor, lengths: Tensor | readonly number[], time: number): Tensor {
  const batch = lengths instanceof Tensor ? lengths.size : lengths.length;
  const [total, ...rest] = x.shape;
  if (total === undefined) throw new ShapeError('unpack: x is [], expected [total, ...]');
  const counts = lengthsTensor('unpack', x, lengths, batch);
  const packed = asMatrix(x, total);
  const padded = x.device.empty([batch, time, ...rest], x.dtype);
  const move = repack(counts, batch, time, total);
  move(asMatrix(padded, batch * time), packed, false, 0);
  return differentiable(padded, [packed], (dy) => {
    const dx = gradOf(packed);
    if (dx) move(asMatrix(dy, batch * time), dx.tensor, true, dx.accumulate);
  });
}

function repack(lengths: Tensor, batch: number, time: number, total: number) {
  return (padded: Tensor, packed: Tensor, packing: boolean, accumulate: 0 | 1): void => {
    const cols = packed.size / total;
    const strides = { paddedStride: padded.rowStride, packedStride: packed.rowStride };
    lengths.device.emit('repack', {
      padded,
      packed,
      lengths,
      batch,
      time,
      cols,
      total,
      ...strides,
      packing,
      accumulate,
    });
  };
}

function batchShape(op: string, x: Tensor): readonly [number, number, ...number[]] {
  if (x.shape.length < 2) throw new ShapeError(`${op}: x is ${describeShape(x.shape)}, expected [batch, time, ...]`);
  return x.shape as readonly number[] as [number, number, ...number[]];
}

function lengthsTensor(op: string, x: Tensor, lengths: Tensor | readonly number[], batch: number): Tensor {
  const tensor = lengths instanceof Tensor ? lengths : x.device.tensor(Int32Array.from(lengths));
  checkDevice(op, { x, lengths: tensor });
  checkDType(op, 'lengths', tensor, 'int32');
  checkShape(op, 'lengths', tensor, [batch]);
  return tensor;
}

/** `x` as [rows, the rest], a view of it where its memory allows, else of a copy. */
function asMatrix(x: Tensor, rows: number): Tensor {
  const cols = x.size / rows;
  return (x.shape.at(-1) === cols ? x : contiguous(x)).reshape(rows, cols);
}

/** Entries [from, to) of dimension d of a contiguous tensor, as a matrix: its other dimensions before d, and those after. */
function part(x: Tensor, d: number, from: number, to: number): Tensor {
  const inner = sizeOf(x.shape.slice(d + 1));
  const outer = sizeOf(x.shape.slice(0, d));
  return x.reshape(outer, (x.shape[d] as number) * inner).columns(from * inner, to * inner);
}

/** Copies `shape` from x to y (adding if asked), each with its own steps. */
function copyInto(
  { tensor: y, accumulate }: GradientTarget,
  ySteps: number[],
  x: Tensor,
  xSteps: number[],
  shape: Shape,
): void {
  const dimensions = dimensionsOf(shape, xSteps, ySteps);
  // The kernel works in tiles of the last two dimensions: one is contiguous in x, the last one in y.
  for (const operand of [0, 1]) {
    const at = dimensions.findIndex(({ steps }) => steps[operand] === 1);
    if (at >= 0) dimensions.push(...dimensions.splice(at, 1));
  }
  x.device.emit('permute', { x, y, ...gridOperands('permute', dimensions, ['x', 'y']), accumulate });
}
