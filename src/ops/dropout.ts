import { differentiable, gradOf } from '../core/autograd.js';
import {
  checkDevice,
  checkDType,
  checkNumber,
  checkOptions,
  isShare,
  isUint32,
  matrixOf,
  SHARE,
  UINT32,
} from '../core/check.js';
import { Scalar } from '../core/operand.js';
import type { Tensor } from '../core/tensor.js';
import { currentValue } from './backward.js';

export interface DropoutOptions {
  /**
   * The probability that an element becomes 0. Other elements are multiplied by 1/(1 − p). 0 gives `x` itself, 1 zeros.
   */
  p: number;
  /**
   * Selects, together with `stream`, the elements to drop. An unsigned 32-bit integer, or a Scalar that each run of a
   * program can set.
   */
  seed: number | Scalar;
  /** Distinguishes the dropouts of a model, so that they can share a seed. Default: 0. */
  stream?: number | undefined;
}

/**
 * Inverted dropout (Srivastava et al., 2014). `x`: float32, any shape; the result has the same shape. No mask is
 * stored: the backward pass computes the same random bits again. Equal seed, stream and shape give equal bits on every
 * backend, instruction set and number of threads. Throws DTypeError, ArgumentError.
 */
export function dropout(x: Tensor, options: DropoutOptions): Tensor {
  const device = checkDevice('dropout', { x });
  checkDType('dropout', 'x', x, 'float32');
  const random = checkDropping('dropout', options);
  if (random === null) return x;
  const emit = (from: Tensor, to: Tensor, accumulate: 0 | 1) => {
    const { rows, cols, stride } = matrixOf(to);
    const operands = { x: from, y: to, rows, cols, xStride: from.rowStride, yStride: stride, accumulate, ...random };
    device.emit('dropout', operands);
  };
  const y = device.empty(x.shape);
  emit(x, y, 0);
  random.seed = currentValue(device, random.seed);
  return differentiable(y, [x], (dy) => {
    const dx = gradOf(x);
    if (dx) emit(dy, dx.tensor, dx.accumulate);
  });
}

/** Checks the options, and returns the operands of dropout; null if nothing is dropped. */
export function checkDropping(op: string, options: DropoutOptions) {
  const { p, seed, stream = 0 } = checkOptions(op, options, { p: 'any', seed: 'any', stream: 'any' });
  checkNumber(op, 'p', p, isShare, SHARE);
  if (!(seed instanceof Scalar)) checkNumber(op, 'seed', seed, isUint32, UINT32);
  checkNumber(op, 'stream', stream, isUint32, UINT32);
  const threshold = Math.ceil(p * 2 ** 32) - 1; // random numbers above it keep the element
  return threshold < 0 ? null : { seed, stream, threshold, scale: p < 1 ? 1 / (1 - p) : 0 };
}
