// Functions of one tensor, element by element. native/kernels/unary.h computes them and their gradients.

import { accumulateBits, differentiable, gradOf } from '../core/autograd.js';
import { checkDevice, checkDType, checkNumber, checkOptions, isNotNaN } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { contiguous } from './contiguous.js';

/** Functions of the kernel's list, by their names in the manifest. */
type Function =
  | 'exp'
  | 'log'
  | 'sqrt'
  | 'rsqrt'
  | 'abs'
  | 'sign'
  | 'sin'
  | 'cos'
  | 'floor'
  | 'round'
  | 'clamp'
  | 'pow'
  | 'elu'
  | 'leakyRelu'
  | 'softplus'
  | 'smoothL1'
  | 'xlogx'
  | 'normalCdf';

/** f(x) for a function with up to two parameters, `p` and `q`. Messages name it `op`. */
export function unary(name: Function, x: Tensor, p = 0, q = 0, op: string = name): Tensor {
  const device = checkDevice(op, { x });
  checkDType(op, 'x', x, 'float32');
  return device.scope(() => {
    const input = contiguous(x);
    const y = device.empty(x.shape);
    const operands = { x: input, y, count: x.size, kind: device.constant(`unary.${name}`), p, q };
    device.emit('unary', operands, 4 * x.size);
    return differentiable(y, [input], (dy) => {
      const dx = gradOf(input);
      device.emit('unaryBackward', { ...operands, dy, dx: dx?.tensor, accumulate: accumulateBits(dx) }, 4 * x.size);
    });
  });
}

/** e^x, element by element. `x`: float32, any shape; the result has the same shape. Throws DTypeError. */
export function exp(x: Tensor): Tensor {
  return unary('exp', x);
}

/**
 * The natural logarithm: -∞ at 0, NaN below. `x`: float32, any shape; the result has the same shape. Throws DTypeError.
 */
export function log(x: Tensor): Tensor {
  return unary('log', x);
}

/** √x, correctly rounded, NaN below 0. `x`: float32, any shape; the result has the same shape. Throws DTypeError. */
export function sqrt(x: Tensor): Tensor {
  return unary('sqrt', x);
}

/** 1/√x: ∞ at 0, NaN below. `x`: float32, any shape; the result has the same shape. Throws DTypeError. */
export function rsqrt(x: Tensor): Tensor {
  return unary('rsqrt', x);
}

/** |x|, with a slope of 0 at 0. `x`: float32, any shape; the result has the same shape. Throws DTypeError. */
export function abs(x: Tensor): Tensor {
  return unary('abs', x);
}

/**
 * -1 below 0, 1 above, 0 at 0 and at NaN; the gradient is 0. `x`: float32, any shape; the result has the same shape.
 * Throws DTypeError.
 */
export function sign(x: Tensor): Tensor {
  return unary('sign', x);
}

/** sin x, x in radians of any size. `x`: float32, any shape; the result has the same shape. Throws DTypeError. */
export function sin(x: Tensor): Tensor {
  return unary('sin', x);
}

/** cos x, x in radians of any size. `x`: float32, any shape; the result has the same shape. Throws DTypeError. */
export function cos(x: Tensor): Tensor {
  return unary('cos', x);
}

/**
 * The largest integer that is at most x; the gradient is 0. `x`: float32, any shape; the result has the same shape.
 * Throws DTypeError.
 */
export function floor(x: Tensor): Tensor {
  return unary('floor', x);
}

/**
 * The nearest integer; the even one if two are equally near. The gradient is 0. `x`: float32, any shape; the result has
 * the same shape. Throws DTypeError.
 */
export function round(x: Tensor): Tensor {
  return unary('round', x);
}

export interface ClampOptions {
  /** Lower bound of the result. Default: none. */
  min?: number | undefined;
  /** Upper bound of the result, even if `min` is greater. Default: none. */
  max?: number | undefined;
}

/**
 * x limited to `min` and `max`, at least one of which is required. The gradient is 0 where x lies outside; NaN stays
 * NaN. `x`: float32, any shape; the result has the same shape. Throws DTypeError, ArgumentError.
 */
export function clamp(x: Tensor, options: ClampOptions): Tensor {
  const limit = { accepts: (v: unknown) => typeof v === 'number' && isNotNaN(v), expected: 'a number' };
  const { min, max } = checkOptions('clamp', options, { min: limit, max: limit });
  if (min === undefined && max === undefined) throw new ArgumentError('clamp: neither min nor max is given');
  return unary('clamp', x, min ?? -Infinity, max ?? Infinity);
}

/** x to the power of a number; see `pow`. */
export function powOfNumber(x: Tensor, exponent: number): Tensor {
  checkNumber('pow', 'exponent', exponent, isNotNaN, 'a tensor or a number');
  return unary('pow', x, exponent);
}

/**
 * x, or alpha·(e^x - 1) where x is below 0 (Clevert et al. 2015, arXiv 1511.07289). `x`: float32, any shape; the result
 * has the same shape. `alpha`: default: 1. Throws DTypeError, ArgumentError.
 */
export function elu(x: Tensor, options: { alpha?: number | undefined } = {}): Tensor {
  const { alpha = 1 } = checkOptions('elu', options, { alpha: 'number' });
  return unary('elu', x, alpha);
}

/**
 * x, or negativeSlope·x where x is below 0. `x`: float32, any shape; the result has the same shape. `negativeSlope`:
 * default: 0.01. Throws DTypeError, ArgumentError.
 */
export function leakyRelu(x: Tensor, options: { negativeSlope?: number | undefined } = {}): Tensor {
  const { negativeSlope = 0.01 } = checkOptions('leakyRelu', options, { negativeSlope: 'number' });
  return unary('leakyRelu', x, negativeSlope);
}

/**
 * ln(1 + e^(beta·x)) / beta, or x itself where beta·x is above `threshold`, as in PyTorch. `x`: float32, any shape; the
 * result has the same shape. `beta`: positive, default: 1; `threshold`: default: 20. Throws DTypeError, ArgumentError.
 */
export function softplus(
  x: Tensor,
  options: { beta?: number | undefined; threshold?: number | undefined } = {},
): Tensor {
  const { beta = 1, threshold = 20 } = checkOptions('softplus', options, { beta: 'positive', threshold: 'number' });
  return unary('softplus', x, beta, threshold);
}
