// Rearrangement: permuted dimensions, parts of tensors, gathered rows, ragged batches.

import { differentiable, gradOf } from '../core/autograd.js';
import {
  checkArray,
  checkAxis,
  checkDevice,
  checkDType,
  checkIntegers,
  checkNumber,
  checkShape,
  checkTensor,
  checkTensorList,
  describeShape,
  describeValue,
  isCount,
  isInt32,
  matrixOf,
} from '../core/check.js';
import type { Device } from '../core/device.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import type { HeapValue } from '../core/operand.js';
import { isRange, lastOf, type Shape, sizeOf, Tensor } from '../core/tensor.js';
import type { Lengths } from './attention-options.js';
import { broadcastOperands, dimensionsOf, operandFrom, stepsOf } from './broadcast.js';
import { contiguous } from './contiguous.js';
import { scatterRows } from './embedding.js';
import { checkHostIds } from './host-ids.js';

/**
 * `x` with its dimensions in another order: dimension d of the result is dimension `axes[d]` of `x`; negative numbers
 * count from the end. `x`: any shape and dtype; the result is a copy. Throws ArgumentError if `axes` does not name each
 * dimension once. Throws ShapeError if more than six dimensions remain after neighbours that stay neighbours are
 * merged.
 */
export function permute(x: Tensor, axes: readonly number[]): Tensor {
  const device = checkDevice('permute', { x });
  checkArray('permute', 'axes', axes, 'an array of dimensions');
  const order = axes.map((axis) => checkAxis('permute', axis, x.shape));
  if (order.length !== x.shape.length || new Set(order).size !== order.length) {
    throw new ArgumentError(
      `permute: ${describeShape(axes)} is not an order of the dimensions of ${describeShape(x.shape)}`,
    );
  }
  const reorder = (values: readonly number[]) => order.map((axis) => values[axis] as number);
  const y = device.empty(reorder(x.shape), x.dtype);
  copyInto(device, y, stepsOf(y), x, reorder(stepsOf(x)), y.shape);
  return differentiable(y, [x], (dy) => {
    const dx = gradOf(x);
    if (dx) copyInto(device, dx.tensor, reorder(stepsOf(dx.tensor)), dy, stepsOf(dy), y.shape, dx.accumulate);
  });
}

/**
 * `x` with dimensions `a` and `b` exchanged, by default the last two; negative numbers count from the end. `x`: any
 * shape and dtype; the result is a copy. Throws ArgumentError for a dimension that `x` lacks.
 */
export function transpose(x: Tensor, a = -2, b = -1): Tensor {
  checkTensor('transpose', 'x', x);
  const axes = x.shape.map((_, d) => d);
  const [i, j] = [checkAxis('transpose', a, x.shape), checkAxis('transpose', b, x.shape)];
  axes[i] = j;
  axes[j] = i;
  return permute(x, axes);
}

/** Writes the transpose of a matrix into another one, which may be columns of a larger one. No gradient. */
export function transposeInto(x: Tensor, y: Tensor): void {
  copyInto(x.device, y, stepsOf(y), x, stepsOf(x).reverse(), y.shape);
}

/**
 * @internal Converts 16-bit floats to float32. `words`: two values per word; bfloat16 if `isBrain`, else float16. `y`:
 * contiguous.
 */
export function widenInto(words: Tensor, y: Tensor, isBrain: boolean): void {
  y.device.emit('widen', { x: words, y, count: y.size, brain: isBrain });
}

/**
 * Joins tensors along dimension `axis` (default: 0; negative numbers count from the end), the only one in which their
 * shapes may differ. [..., n, ...] and [..., m, ...] give [..., n + m, ...], a copy. All must have one dtype, float32
 * or int32. Throws ShapeError, DTypeError, ArgumentError if there are no tensors or if they lack the dimension.
 */
export function concat(tensors: readonly Tensor[], axis = 0): Tensor {
  const device = checkTensorList('concat', 'tensors', tensors);
  const parts = [...tensors]; // the backward pass needs its own copy of the caller's array
  const { shape, dtype } = tensors[0] as Tensor;
  const d = checkAxis('concat', axis, shape);
  tensors.forEach((tensor, i) => {
    checkDType('concat', `tensors[${i}]`, tensor, dtype);
    checkShape('concat', `tensors[${i}]`, tensor, shape.with(d, tensor.shape[d] as number));
  });
  const ends = runningSums(tensors.map((tensor) => tensor.shape[d] as number));
  const y = device.empty(shape.with(d, ends.at(-1) as number), dtype);
  const viewAt = (whole: Tensor, i: number) => startingAt(whole, d, ends[i - 1] ?? 0);
  tensors.forEach((x, i) => {
    copyInto(device, viewAt(y, i), stepsOf(y), x, stepsOf(x), x.shape);
  });
  return differentiable(y, parts, (dy) => {
    parts.forEach((x, i) => {
      const dx = gradOf(x);
      if (dx) copyInto(device, dx.tensor, stepsOf(dx.tensor), viewAt(dy, i), stepsOf(dy), x.shape, dx.accumulate);
    });
  });
}

/**
 * Entries `start` ≤ i < `end` of dimension `axis` (negative numbers count from the end). `x`: any shape and dtype; the
 * result has `end` - `start` entries there. A view if that is the first or the last dimension, else a copy. Throws
 * ArgumentError if they are out of range.
 */
export function slice(x: Tensor, axis: number, start: number, end: number): Tensor {
  const device = checkDevice('slice', { x });
  const d = checkAxis('slice', axis, x.shape);
  const length = x.shape[d] as number;
  if (!isRange(start, end, length)) {
    throw new ArgumentError(
      `slice: ${describeValue(start)} to ${describeValue(end)} is out of range for dimension ${axis} of ` +
        describeShape(x.shape),
    );
  }
  if (d === x.shape.length - 1) return x.columns(start, end);
  if (d === 0) return x.rows(start, end);
  const y = device.empty(x.shape.with(d, end - start), x.dtype);
  copyInto(device, y, stepsOf(y), startingAt(x, d, start), stepsOf(x), y.shape);
  return differentiable(y, [x], (dy) => {
    const dx = gradOf(x);
    if (dx === null) return;
    const { rows, cols, stride } = matrixOf(dx.tensor);
    if (dx.accumulate === 0) device.emit('fill', { y: dx.tensor, rows, cols, stride, value: 0 });
    copyInto(device, startingAt(dx.tensor, d, start), stepsOf(dx.tensor), dy, stepsOf(dy), y.shape, dx.accumulate);
  });
}

/**
 * Consecutive parts of dimension `axis` with the given sizes; views or copies as in `slice`. `axis` is 0 by default;
 * negative numbers count from the end. Throws ShapeError if the sizes do not add up to the dimension. Throws
 * ArgumentError if `x` lacks it, or if a size is not a positive integer.
 */
export function split(x: Tensor, sizes: readonly number[], axis = 0): Tensor[] {
  checkTensor('split', 'x', x);
  const length = x.shape[checkAxis('split', axis, x.shape)] as number;
  checkArray('split', 'sizes', sizes, 'an array of numbers');
  for (const size of sizes) checkNumber('split', 'a size', size, isCount, 'a positive integer');
  const ends = runningSums(sizes);
  if (ends.at(-1) !== length) {
    throw new ShapeError(
      `split: sizes ${describeShape(sizes)} do not add up to dimension ${axis} of ${describeShape(x.shape)}`,
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
 * Gathers entries of the first dimension by index: `y[i] = x[rows[i]]`. `rows` is int32 of any shape; the result is
 * [...rows.shape, ...x.shape without its first dimension], of `x`'s dtype. An index out of range throws ArgumentError
 * if the host wrote it; a computed one fails the run (CommandError). Throws DTypeError, ShapeError if `x` is [].
 */
export function gather(x: Tensor, rows: Tensor): Tensor {
  const device = checkDevice('gather', { x, rows });
  checkDType('gather', 'rows', rows, 'int32');
  const [xRows, ...rest] = x.shape;
  if (xRows === undefined) throw new ShapeError('gather: x is [], expected at least one dimension');
  const source = withRows(x, xRows);
  const numbers = contiguous(rows);
  checkHostIds('gather', 'rows', numbers, xRows);
  const y = device.empty([...rows.shape, ...rest], x.dtype);
  const cols = sizeOf(rest);
  const operands = { x: source, rows: numbers, y, count: rows.size, cols, xRows, xStride: strideOf(source, xRows) };
  device.emit('gather', operands);
  const backward = (dy: Tensor) => {
    const dx = gradOf(source);
    if (dx) scatterRows(dx, xRows, strideOf(dx.tensor, xRows), dy, numbers);
  };
  return differentiable(y, [source], backward, [numbers]);
}

/**
 * Removes the padding of a batch, and puts its tokens end to end. `x` is [batch, time, ...], `lengths` int32 [batch] or
 * integers; item b keeps its first `lengths[b]` steps. The result is [total, ...] with `total` their sum, which is
 * required if `lengths` is a tensor. Any dtype. Lengths that do not fit fail the run (CommandError). Throws ShapeError,
 * DTypeError, ArgumentError if a length is not an integer or `total` is missing or not positive.
 */
export function pack(x: Tensor, lengths: Lengths, total?: number): Tensor {
  const device = checkRagged('pack', x, lengths);
  if (x.shape.length < 2) throw new ShapeError(`pack: x is ${describeShape(x.shape)}, expected [batch, time, ...]`);
  const [batch, time, ...rest] = x.shape as [number, number, ...number[]];
  const counts = lengths instanceof Tensor ? undefined : (lengths as readonly number[]); // `reduce` works for both
  const count = total ?? counts?.reduce((sum, length) => sum + length, 0);
  if (count === undefined) throw new ArgumentError('pack: lengths is a tensor, so total, their sum, must be given');
  checkNumber('pack', 'the sum of the lengths', count, isCount, 'a positive integer');
  const move = repacking('pack', x, lengths, batch, time, count);
  const padded = withRows(x, batch * time);
  const packed = device.empty([count, ...rest], x.dtype);
  move(padded, packed, true, 0);
  const backward = (dy: Tensor) => {
    const dx = gradOf(padded);
    if (dx) move(dx.tensor, dy, false, dx.accumulate);
  };
  return differentiable(packed, [padded], backward, [lengths instanceof Tensor ? lengths : null]);
}

/**
 * The inverse of `pack`: `x` [total, ...] becomes [batch, time, ...], zero after each item's length. `lengths` are as
 * for `pack`. Throws ShapeError, DTypeError, ArgumentError if there are no lengths, if one is not an integer or if `time`
 * is not positive.
 */
export function unpack(x: Tensor, lengths: Lengths, time: number): Tensor {
  const device = checkRagged('unpack', x, lengths);
  checkNumber('unpack', 'time', time, isCount, 'a positive integer');
  const batch = lengths instanceof Tensor ? lengths.size : lengths.length;
  checkNumber('unpack', 'the number of lengths', batch, isCount, 'a positive integer');
  const [total, ...rest] = x.shape;
  if (total === undefined) throw new ShapeError('unpack: x is [], expected [total, ...]');
  const move = repacking('unpack', x, lengths, batch, time, total);
  const packed = withRows(x, total);
  const padded = device.empty([batch, time, ...rest], x.dtype);
  move(padded, packed, false, 0);
  const backward = (dy: Tensor) => {
    const dx = gradOf(packed);
    if (dx) move(dy, dx.tensor, true, dx.accumulate);
  };
  return differentiable(padded, [packed], backward, [lengths instanceof Tensor ? lengths : null]);
}

/** Returns the device of a ragged batch. Lengths in an array must be integers, as they would be rounded. */
function checkRagged(op: string, x: Tensor, lengths: Lengths): Device {
  if (lengths instanceof Tensor) {
    const device = checkDevice(op, { x, lengths });
    checkDType(op, 'lengths', lengths, 'int32');
    return device;
  }
  checkIntegers(op, 'lengths', lengths);
  for (const length of lengths) checkNumber(op, 'a length', length, isInt32, 'an integer');
  return checkDevice(op, { x });
}

/** Checks the number of lengths. Returns a function that queues the command between a padded and a packed tensor. */
function repacking(op: string, x: Tensor, lengths: Lengths, batch: number, time: number, total: number) {
  if (lengths instanceof Tensor) checkShape(op, 'lengths', lengths, [batch]);
  else if (lengths.length !== batch) {
    throw new ShapeError(`${op}: there are ${lengths.length} lengths, expected ${batch}`);
  }
  // a copy, because the caller may change the array
  const kept = lengths instanceof Tensor ? lengths : Int32Array.from(lengths);
  return (padded: Tensor, packed: Tensor, packing: boolean, accumulate: 0 | 1): void => {
    const counts = kept instanceof Tensor ? kept : x.device.tensor(kept);
    const strides = { paddedStride: strideOf(padded, batch * time), packedStride: strideOf(packed, total) };
    const sizes = { batch, time, cols: packed.size / total, total };
    const { storage } = packing ? padded : packed;
    const { version } = storage;
    x.device.emit('repack', { padded, packed, lengths: counts, ...sizes, ...strides, packing, accumulate });
    storage.version = version; // the tensor is only read, which the command's signature cannot express
    if (counts !== kept) counts.dispose();
  };
}

/** Returns `x`, or a copy of it if it cannot be read as `rows` rows at equal distances. */
function withRows(x: Tensor, rows: number): Tensor {
  return lastOf(x.shape) === x.size / rows ? x : contiguous(x);
}

/** Returns the words from one row to the next, of the `rows` rows of a tensor from `withRows`. */
function strideOf(x: Tensor, rows: number): number {
  const cols = x.size / rows;
  return lastOf(x.shape) === cols ? x.rowStride : cols;
}

/** Returns `x` from entry `start` of dimension d on, as an operand. */
function startingAt(x: Tensor, d: number, start: number): HeapValue {
  return operandFrom(x, start * (stepsOf(x)[d] as number));
}

/** @internal Copies elements of `shape` from x to y; each has its own steps. Adds to y if `accumulate`. */
export function copyInto(
  device: Device,
  y: HeapValue,
  ySteps: number[],
  x: HeapValue,
  xSteps: number[],
  shape: Shape,
  accumulate: 0 | 1 = 0,
): void {
  const dimensions = dimensionsOf(shape, xSteps, ySteps);
  // The kernel works in tiles of the last two dimensions. The second last is contiguous in x, the last in y.
  for (const operand of [0, 1]) {
    const index = dimensions.findIndex(({ steps }) => steps[operand] === 1);
    if (index >= 0) dimensions.push(...dimensions.splice(index, 1));
  }
  device.emit('permute', { x, y, ...broadcastOperands('permute', device, dimensions, ['x', 'y']), accumulate });
}
