import { differentiable, passGrad } from '../core/autograd.js';
import { checkTensor, matrixOf } from '../core/check.js';
import type { Tensor } from '../core/tensor.js';

/**
 * `x` itself if its rows follow one another without gaps, else a contiguous copy with the same shape and dtype. Throws
 * DisposedError.
 */
export function contiguous(x: Tensor): Tensor {
  checkTensor('contiguous', 'x', x);
  if (x.isContiguous) return x;
  const y = x.device.empty(x.shape, x.dtype);
  const { rows, cols, stride } = matrixOf(x);
  x.device.emit('copy', { x, y, rows, cols, xStride: stride, yStride: cols, accumulate: 0 });
  return differentiable(y, [x], (dy) => passGrad(x, dy));
}
