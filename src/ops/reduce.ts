import { differentiable, type GradientTarget, gradOf, passGrad } from '../core/autograd.js';
import { checkAxis, checkDevice, checkDType, checkOptions } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import { type Shape, sameShape, sizeOf, type Tensor } from '../core/tensor.js';
import { broadcastOperands, broadcastSteps, dimensionsOf } from './broadcast.js';

export interface ReduceOptions {
  /** One dimension or several; negative numbers count from the end; [] sums over none. Default: all. */
  axis?: number | readonly number[] | undefined;
  /** Keeps summed dimensions, with size 1. Default: false. */
  keepDims?: boolean | undefined;
}

/**
 * Sum over dimensions. `x` is float32 of any shape. The result is float32 with the remaining dimensions, [] by default.
 * Throws DTypeError, and ArgumentError for an axis that `x` lacks or that is named twice. Throws ShapeError if more
 * than six dimensions remain after neighbours that are both summed, or both kept, are merged.
 */
export function sum(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduce('sum', x, options, () => 1);
}

/** The mean over dimensions. Shapes, dtypes and errors are those of `sum`. */
export function mean(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduce('mean', x, options, (count) => 1 / count);
}

function reduce(op: string, x: Tensor, options: ReduceOptions, weigh: (count: number) => number): Tensor {
  const { axis, keepDims = false } = checkOptions(op, options, { axis: 'any', keepDims: 'boolean' });
  const device = checkDevice(op, { x });
  checkDType(op, 'x', x, 'float32');
  const axes = checkAxes(op, axis, x.shape);
  const kept = withoutAxes(x.shape, axes, true);
  const y = device.empty(withoutAxes(x.shape, axes, keepDims));
  const scale = weigh(x.size / y.size);
  const wide = y.reshape(kept);
  sumInto(op, { tensor: wide, accumulate: 0 }, x.shape, x, null, scale);
  wide.dispose();
  return differentiable(y, [x], (dy) => {
    const dx = gradOf(x);
    if (dx) sumInto('backward', dx, x.shape, dy.reshape(kept), null, scale);
  });
}

/** Returns the dimensions that an op reduces, in ascending order; all by default. Throws ArgumentError. */
export function checkAxes(op: string, axis: ReduceOptions['axis'], shape: Shape): number[] {
  if (axis === undefined) return shape.map((_, d) => d);
  const axes = [axis].flat().map((a) => checkAxis(op, a, shape));
  if (new Set(axes).size < axes.length)
    throw new ArgumentError(`${op}: axis [${axes.join(', ')}] names a dimension twice`);
  return axes.sort((a, b) => a - b);
}

/** Returns the shape after these dimensions are reduced. */
export function withoutAxes(shape: Shape, axes: readonly number[], keepDims: boolean): Shape {
  if (!keepDims) return shape.filter((_, d) => !axes.includes(d));
  return shape.map((size, d) => (axes.includes(d) ? 1 : size));
}

/** Adds `scale`·`dy`·`w` to the gradient of `x`, summed over the dimensions where `x` was broadcast to `dy`. */
export function broadcastGrad(x: Tensor, dy: Tensor, w: Tensor | null = null, scale = 1): void {
  if (w === null && scale === 1 && sameShape(x.shape, dy.shape)) {
    passGrad(x, dy);
    return;
  }
  const dx = gradOf(x);
  if (dx) sumInto('backward', dx, dy.shape, dy, w, scale);
}

/**
 * Computes y (+)= scale·Σ x·w. All three are broadcast to `shape`; the sum is over dimensions in which y is broadcast.
 */
function sumInto(
  op: string,
  { tensor: y, accumulate }: GradientTarget,
  shape: Shape,
  x: Tensor,
  w: Tensor | null,
  scale: number,
): void {
  const { kept, summed, rowwise } = sumLoops(shape, x, w, y);
  const pieces = rowwise
    ? piecesOf(summed.at(-1)?.size ?? 1, 8192)
    : piecesOf(sizeOf(summed.map(({ size }) => size)), 256);
  const workspace = pieces === 1 ? null : x.device.empty([pieces * y.size]);
  const walked = broadcastOperands(op, x.device, [...kept, ...summed], ['x', 'w', 'y']);
  const operands = {
    x,
    w,
    y,
    workspace,
    kept: x.device.constant('broadcast.rank') - summed.length,
    rowwise,
    pieces,
    scale,
    accumulate,
    ...walked,
  };
  x.device.emit('reduce', operands, sizeOf(shape) * (w ? 2 : 1));
  workspace?.dispose();
}

/**
 * Splits the dimensions of a sum into those that y keeps and those that are summed. `rowwise`: SIMD vectors run along
 * the last summed dimension, instead of the last kept one.
 */
function sumLoops(shape: Shape, x: Tensor, w: Tensor | null, y: Tensor) {
  const wSteps = w ? broadcastSteps(w, shape) : shape.map(() => 0);
  const dimensions = dimensionsOf(shape, broadcastSteps(x, shape), wSteps, broadcastSteps(y, shape));
  const kept = dimensions.filter(({ steps }) => steps[2] !== 0);
  const summed = dimensions.filter(({ steps }) => steps[2] === 0);
  // Vectors need a contiguous last dimension. Otherwise a dimension of size 1 is added.
  const [xStep = 0, wStep = 0, yStep = 0] = dimensions.at(-1)?.steps ?? [];
  const isContiguous = xStep <= 1 && wStep <= 1;
  const rowwise = summed.length > 0 && yStep === 0 && xStep === 1 && isContiguous;
  if (!rowwise && !(yStep === 1 && isContiguous)) kept.push({ size: 1, steps: [0, 0, 1] });
  return { kept, summed, rowwise };
}

/** Returns the number of pieces of about `length` terms into which a long sum is cut. */
function piecesOf(terms: number, length: number): number {
  return terms <= 2 * length ? 1 : Math.ceil(terms / length);
}
