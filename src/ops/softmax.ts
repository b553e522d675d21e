import { accumulateBits, differentiable, gradOf } from '../core/autograd.js';
import { checkAxis, checkDevice, checkDType, checkOptions } from '../core/check.js';
import { sizeOf, type Tensor } from '../core/tensor.js';
import { contiguous } from './contiguous.js';

export interface SoftmaxOptions {
  /** The dimension that sums to 1; negative numbers count from the end. Default: -1. */
  axis?: number | undefined;
}

/**
 * e^x / Σ e^x along `axis`, safe for inputs of any size. `x`: float32, any shape but []. An input of -∞ gets
 * probability 0; inputs that are all -∞, or contain NaN or +∞, give NaN, as in PyTorch. The result is float32, of x's
 * shape. Throws ArgumentError for an axis that x lacks, DTypeError.
 */
export function softmax(x: Tensor, options: SoftmaxOptions = {}): Tensor {
  return alongAxis('softmax', x, options);
}

/**
 * ln softmax(x) along `axis`, without its loss of precision. `x`: float32, any shape but []; the result has the same
 * shape. Throws ArgumentError for an axis that x lacks, DTypeError. See `softmax`.
 */
export function logSoftmax(x: Tensor, options: SoftmaxOptions = {}): Tensor {
  return alongAxis('logSoftmax', x, options);
}

function alongAxis(op: 'softmax' | 'logSoftmax', x: Tensor, options: SoftmaxOptions): Tensor {
  const { axis = -1 } = checkOptions(op, options, { axis: 'any' });
  const device = checkDevice(op, { x });
  checkDType(op, 'x', x, 'float32');
  const position = checkAxis(op, axis, x.shape);
  const dimensions = {
    outer: sizeOf(x.shape.slice(0, position)),
    n: x.shape[position] as number,
    inner: sizeOf(x.shape.slice(position + 1)),
  };
  return device.scope(() => {
    const input = contiguous(x);
    const y = device.empty(x.shape);
    device.emit(op, { x: input, y, ...dimensions }, 4 * x.size);
    return differentiable(y, [input], (dy) => {
      const dx = gradOf(input);
      const operands = { dy, y, dx: dx?.tensor, ...dimensions, accumulate: accumulateBits(dx) };
      device.emit(`${op}Backward`, operands, 4 * x.size);
    });
  });
}
