import { accumulateBits, differentiable, gradOf } from '../core/autograd.js';
import { checkAxis, checkDevice, checkDType, checkOptions, checkShape, describeValue } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import { sizeOf, type Tensor } from '../core/tensor.js';
import { partialsOf } from './backward.js';
import { contiguous } from './contiguous.js';

export interface RmsNormOptions {
  /** Added to the mean of the squares. Default: float32's machine epsilon, as in PyTorch. */
  eps?: number | undefined;
  /** Added to gamma. Use 1 for weights that are stored as their difference from 1, such as Gemma's. Default: 0. */
  offset?: number | undefined;
  /**
   * The first of the dimensions that are normalized together; negative numbers count from the end. Default: -1, the
   * last.
   */
  axis?: number | undefined;
}

const kinds = { eps: 'notNegative', offset: 'number', axis: 'any' } as const;

/**
 * Divides the last dimension, or those from `axis` on, by their root mean square: (gamma + offset)·x / √(mean(x²) +
 * eps) (Zhang, Sennrich 2019, arXiv 1910.07467).
 *
 * `x` float32 [..., n]; `gamma` float32 of the normalized dimensions, [n] by default, or null for a factor of 1; the
 * result has x's shape. Throws ShapeError, DTypeError; ArgumentError, also for an offset without a gamma.
 */
export function rmsNorm(x: Tensor, gamma: Tensor | null = null, options: RmsNormOptions = {}): Tensor {
  const { eps = 2 ** -23, offset = 0, axis = -1 } = checkOptions('rmsNorm', options, kinds);
  const device = checkDevice('rmsNorm', { x }, { gamma });
  checkDType('rmsNorm', 'x', x, 'float32');
  const normal = x.shape.slice(checkAxis('rmsNorm', axis, x.shape));
  if (gamma !== null) {
    checkDType('rmsNorm', 'gamma', gamma, 'float32');
    checkShape('rmsNorm', 'gamma', gamma, normal);
  }
  if (gamma === null && offset !== 0)
    throw new ArgumentError(`rmsNorm: offset is ${describeValue(offset)}, expected 0 where there is no gamma`);

  return device.scope(() => {
    const input = contiguous(x);
    const weight = gamma && contiguous(gamma);
    const cols = sizeOf(normal);
    const rows = x.size / cols;
    const y = device.empty(x.shape);
    const rstd = device.empty([rows]);
    device.emit('rmsNorm', { x: input, gamma: weight, y, rstd, rows, cols, eps, offset }, 4 * x.size);
    return differentiable(y, [input, weight], (dy) => {
      const dx = gradOf(input);
      const dgamma = gradOf(weight);
      const partials = dgamma && device.empty([partialsOf(device, rows), cols]);
      const gradients = { dx: dx?.tensor, dgamma: dgamma?.tensor, accumulate: accumulateBits(dx, dgamma) };
      const operands = { dy, x: input, gamma: weight, rstd, partials, rows, cols, offset, ...gradients };
      device.emit('rmsNormBackward', operands, 10 * x.size);
      partials?.dispose();
    });
  });
}
