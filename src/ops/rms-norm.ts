import { accumulateBits, differentiable, gradOf } from '../core/autograd.js';
import {
  checkDevice,
  checkDType,
  checkNumber,
  checkOptions,
  checkShape,
  isNotNegative,
  matrixOf,
} from '../core/check.js';
import type { Tensor } from '../core/tensor.js';
import { partialsOf } from './backward.js';
import { contiguous } from './contiguous.js';

/**
 * Divides the last dimension by its root mean square: gamma·x / √(mean(x²) + eps) (Zhang, Sennrich 2019, arXiv
 * 1910.07467).
 *
 * `x` float32 [..., n]; `gamma` float32 [n] or null for 1; result [..., n]. `eps` is float32's machine epsilon by
 * default, as in PyTorch. Throws ShapeError, DTypeError, ArgumentError.
 */
export function rmsNorm(x: Tensor, gamma: Tensor | null = null, options: { eps?: number | undefined } = {}): Tensor {
  const { eps = 2 ** -23 } = checkOptions('rmsNorm', options);
  const device = checkDevice('rmsNorm', { x }, { gamma });
  const { rows, cols } = matrixOf(x);
  checkDType('rmsNorm', 'x', x, 'float32');
  if (gamma !== null) {
    checkDType('rmsNorm', 'gamma', gamma, 'float32');
    checkShape('rmsNorm', 'gamma', gamma, [cols]);
  }
  checkNumber('rmsNorm', 'eps', eps, isNotNegative, 'a number, 0 or more');

  return device.scope(() => {
    const input = contiguous(x);
    const y = device.empty(x.shape);
    const rstd = device.empty([rows]);
    device.emit('rmsNorm', { x: input, gamma, y, rstd, rows, cols, eps }, 4 * x.size);
    return differentiable(y, [input, gamma], (dy) => {
      const dx = gradOf(input);
      const dgamma = gradOf(gamma);
      const partials = dgamma && device.empty([partialsOf(device, rows), cols]);
      const gradients = { dx: dx?.tensor, dgamma: dgamma?.tensor, accumulate: accumulateBits(dx, dgamma) };
      device.emit('rmsNormBackward', { dy, x: input, gamma, rstd, partials, rows, cols, ...gradients }, 10 * x.size);
      partials?.dispose();
    });
  });
}
