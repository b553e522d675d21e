// Ops along an axis: extrema, running sums, the k best. native/kernels/axis.h computes them.

import { accumulateBits, differentiable, gradOf } from '../core/autograd.js';
import { checkAxis, checkDevice, checkDType, checkNumber, checkOptions, isCount } from '../core/check.js';
import type { Device } from '../core/device.js';
import { type Shape, sizeOf, type Tensor } from '../core/tensor.js';
import { contiguous } from './contiguous.js';
import { permute } from './move.js';
import { checkAxes, type ReduceOptions, withoutAxes } from './reduce.js';

/** Adjacent dimensions that a kernel treats as one axis. */
interface Axis {
  readonly outer: number;
  readonly count: number;
  readonly inner: number;
}

/** Returns dimensions first … last − 1 of a contiguous tensor as one axis. */
function axisOf(shape: Shape, first: number, last = first + 1): Axis {
  return {
    outer: sizeOf(shape.slice(0, first)),
    count: sizeOf(shape.slice(first, last)),
    inner: sizeOf(shape.slice(last)),
  };
}

/** Returns `x` with `axes`, in their order, as one axis. Axes that are not neighbours move to the end. */
function together(x: Tensor, axes: readonly number[]): { input: Tensor; axis: Axis } {
  const [first = x.shape.length] = axes;
  if (axes.every((d, i) => d === first + i))
    return { input: contiguous(x), axis: axisOf(x.shape, first, first + axes.length) };
  const kept = x.shape.map((_, d) => d).filter((d) => !axes.includes(d));
  const input = contiguous(permute(x, [...kept, ...axes]));
  return { input, axis: axisOf(input.shape, kept.length, x.shape.length) };
}

function checkFloats(op: string, x: Tensor): Device {
  const device = checkDevice(op, { x });
  checkDType(op, 'x', x, 'float32');
  return device;
}

/**
 * The maximum over dimensions, as torch.amax; NaN if any element is NaN. The gradient is split evenly among equal
 * maxima, as in PyTorch. If the result is NaN, so are the gradients of all its elements. `x`: float32, any shape; the
 * result is float32 with the remaining dimensions, [] by default. Throws DTypeError, and ArgumentError for an axis that
 * `x` lacks or that is named twice.
 */
export function max(x: Tensor, options: ReduceOptions = {}): Tensor {
  return extremum('max', x, options, false);
}

/** The minimum over dimensions; otherwise like `max`. */
export function min(x: Tensor, options: ReduceOptions = {}): Tensor {
  return extremum('min', x, options, true);
}

function extremum(op: string, x: Tensor, options: ReduceOptions, min: boolean): Tensor {
  const { axis: requestedAxis, keepDims = false } = checkOptions(op, options, { axis: 'any', keepDims: 'boolean' });
  const device = checkFloats(op, x);
  const axes = checkAxes(op, requestedAxis, x.shape);
  return device.scope(() => {
    const { input, axis } = together(x, axes);
    const y = device.empty(withoutAxes(x.shape, axes, keepDims));
    device.emit('extremum', { x: input, values: y, ...axis, least: min }, x.size);
    return differentiable(y, [input], (dy) => {
      const dx = gradOf(input);
      const operands = { dy, x: input, y, dx: dx?.tensor, ...axis, accumulate: accumulateBits(dx) };
      device.emit('extremumBackward', operands, 2 * x.size);
    });
  });
}

export interface ArgOptions {
  /** The dimension to search; negative numbers count from the end. Default: all, as if `x` were flat. */
  axis?: number | undefined;
  /** Keeps searched dimensions, with size 1. Default: false. */
  keepDims?: boolean | undefined;
}

/**
 * The index of the maximum along a dimension: the first of equal ones, the first NaN if there is one. `x`: float32, any
 * shape; the result is int32 with the remaining dimensions, without a gradient. Throws DTypeError, ArgumentError.
 */
export function argmax(x: Tensor, options: ArgOptions = {}): Tensor {
  return argExtreme('argmax', x, options, false);
}

/** The index of the minimum along a dimension; otherwise like `argmax`. */
export function argmin(x: Tensor, options: ArgOptions = {}): Tensor {
  return argExtreme('argmin', x, options, true);
}

function argExtreme(op: string, x: Tensor, options: ArgOptions, min: boolean): Tensor {
  const { axis: requestedAxis, keepDims = false } = checkOptions(op, options, { axis: 'integer', keepDims: 'boolean' });
  const device = checkFloats(op, x);
  const axes = checkAxes(op, requestedAxis, x.shape);
  return device.noGrad(() =>
    device.scope(() => {
      const { input, axis } = together(x, axes);
      const ids = device.empty(withoutAxes(x.shape, axes, keepDims), 'int32');
      device.emit('extremum', { x: input, ids, ...axis, least: min }, x.size);
      return ids;
    }),
  );
}

/**
 * Running sums along a dimension: y[i] = x[0] + … + x[i], accumulated in float64. `x`: float32, any shape but []; the
 * result has the same shape. `axis`: negative numbers count from the end; default: -1. Throws DTypeError,
 * ArgumentError.
 */
export function cumsum(x: Tensor, options: { axis?: number | undefined } = {}): Tensor {
  const { axis: requestedAxis = -1 } = checkOptions('cumsum', options, { axis: 'integer' });
  const device = checkFloats('cumsum', x);
  const axis = axisOf(x.shape, checkAxis('cumsum', requestedAxis, x.shape));
  return device.scope(() => {
    const input = contiguous(x);
    const y = device.empty(x.shape);
    device.emit('cumsum', { x: input, y, ...axis, reverse: false, accumulate: 0 }, x.size);
    return differentiable(y, [input], (dy) => {
      const dx = gradOf(input);
      const operands = { x: dy, y: dx?.tensor, ...axis, reverse: true, accumulate: accumulateBits(dx) };
      device.emit('cumsum', operands, x.size);
    });
  });
}

export interface TopKOptions {
  /** The dimension to search; negative numbers count from the end. Default: -1. */
  axis?: number | undefined;
  /** True for the greatest elements, false for the least. Default: true. */
  largest?: boolean | undefined;
  /**
   * Has no effect: elements are always returned in order, the best first. PyTorch and ONNX have this option. Default:
   * true.
   */
  sorted?: boolean | undefined;
}

/**
 * The k largest (or smallest) elements along a dimension. `values` is float32 and `indices` int32, both with the shape
 * of `x`, except that this dimension has size k. Equal elements keep their order; NaN counts as the greatest, as in
 * PyTorch. The gradient passes through the values. `x`: float32, any shape but []. Throws DTypeError, and ArgumentError
 * if k is not from 1 to the dimension's size.
 */
export function topk(x: Tensor, k: number, options: TopKOptions = {}): { values: Tensor; indices: Tensor } {
  const kinds = { axis: 'integer', largest: 'boolean', sorted: 'boolean' } as const;
  const { axis: requestedAxis = -1, largest = true } = checkOptions('topk', options, kinds);
  const device = checkFloats('topk', x);
  const d = checkAxis('topk', requestedAxis, x.shape);
  const axis = axisOf(x.shape, d);
  const max = Math.min(axis.count, device.constant('topKAlong.max'));
  checkNumber('topk', 'k', k, (value) => isCount(value) && value <= max, `an integer from 1 to ${max}`);
  const shape = x.shape.map((size, dimension) => (dimension === d ? k : size));
  return device.scope(() => {
    const input = contiguous(x);
    const values = device.empty(shape);
    const indices = device.empty(shape, 'int32');
    device.emit('topKAlong', { x: input, values, ids: indices, ...axis, k, least: !largest }, x.size);
    const backward = (dy: Tensor) => {
      const dx = gradOf(input);
      const operands = { dy, ids: indices, dx: dx?.tensor, ...axis, k, accumulate: accumulateBits(dx) };
      device.emit('topKAlongBackward', operands, x.size);
    };
    return { values: differentiable(values, [input], backward, [indices]), indices };
  });
}
