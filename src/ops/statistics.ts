// Norms and deviations, composed of other ops. Only the gradient of a square root at 0 is defined here.

import { differentiable } from '../core/autograd.js';
import { checkDevice, checkDType, checkOptions } from '../core/check.js';
import type { Tensor } from '../core/tensor.js';
import { max } from './axis.js';
import { div, equal, mul, scale, sub, where } from './binary.js';
import { broadcastGrad, checkAxes, mean, type ReduceOptions, sum, withoutAxes } from './reduce.js';
import { abs, sqrt } from './unary.js';

export interface NormOptions extends ReduceOptions {
  /** 1: Σ|x|; 2: √Σx²; Infinity: the greatest |x|. Default: 2. */
  ord?: 1 | 2 | typeof Infinity | undefined;
}

/**
 * The vector norm over dimensions, all by default. The gradient is 0 where a norm is 0. If `ord` is Infinity, it is
 * split evenly among equal maxima, as in PyTorch. `x`: float32, any shape, with squares within float32; the result is
 * float32 with the remaining dimensions. Throws DTypeError, ArgumentError, ShapeError like `sum`.
 */
export function norm(x: Tensor, options: NormOptions = {}): Tensor {
  const kinds = { ord: [1, 2, Infinity], axis: 'any', keepDims: 'boolean' } as const;
  const { ord = 2, axis, keepDims } = checkOptions('norm', options, kinds);
  const device = checkDevice('norm', { x });
  checkDType('norm', 'x', x, 'float32');
  const axes = checkAxes('norm', axis, x.shape);
  if (ord === 1) return device.scope(() => sum(abs(x), { axis: axes, keepDims }));
  if (ord === Infinity) return device.scope(() => max(abs(x), { axis: axes, keepDims }));
  const y = device.noGrad(() => device.scope(() => sqrt(sum(mul(x, x), { axis: axes, keepDims }))));
  return differentiable(y, [x], (dy) => {
    broadcastGrad(x, x, overRoot(dy, y).reshape(withoutAxes(x.shape, axes, true)));
  });
}

export interface VarianceOptions extends ReduceOptions {
  /** Subtracted from the number of elements that divides the sum of squares. Default: 1; 0 for a whole population. */
  correction?: number | undefined;
}

/**
 * Σ(x - mean)²/(n - correction) over dimensions, all by default: torch.var. NaN where n is 1 and `correction` 1. `x`:
 * float32, any shape; the result is float32 with the remaining dimensions. Throws DTypeError, ArgumentError, ShapeError
 * like `sum`.
 */
export function variance(x: Tensor, options: VarianceOptions = {}): Tensor {
  return spread('variance', x, options, false);
}

/** The standard deviation, √variance, with a gradient of 0 where it is 0; otherwise like `variance`. */
export function std(x: Tensor, options: VarianceOptions = {}): Tensor {
  return spread('std', x, options, true);
}

function spread(op: string, x: Tensor, options: VarianceOptions, root: boolean): Tensor {
  const kinds = { axis: 'any', keepDims: 'boolean', correction: 'number' } as const;
  const { axis, keepDims, correction = 1 } = checkOptions(op, options, kinds);
  const device = checkDevice(op, { x });
  checkDType(op, 'x', x, 'float32');
  const axes = checkAxes(op, axis, x.shape);
  const kept = withoutAxes(x.shape, axes, true);
  const share = 1 / Math.max(0, axes.reduce((count, d) => count * (x.shape[d] as number), 1) - correction);
  const deviations = () => sub(x, mean(x, { axis: axes, keepDims: true }));
  const compute = () => {
    const d = deviations();
    const v = scale(sum(mul(d, d), { axis: axes, keepDims }), share);
    return root ? sqrt(v) : v;
  };
  const y = device.noGrad(() => device.scope(compute));
  return differentiable(y, [x], (dy) => {
    const slope = root ? overRoot(dy, y) : dy;
    broadcastGrad(x, deviations(), slope.reshape(kept), root ? share : 2 * share);
  });
}

/** Returns dy / y; 0 where y is 0. */
function overRoot(dy: Tensor, y: Tensor): Tensor {
  return where(equal(y, 0), 0, div(dy, y));
}
