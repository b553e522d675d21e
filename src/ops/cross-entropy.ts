import { accumulateBits, differentiable, gradOf } from '../core/autograd.js';
import {
  checkDevice,
  checkDType,
  checkNumber,
  checkOneOf,
  checkOptions,
  checkShape,
  isInt32,
  matrixOf,
} from '../core/check.js';
import { ShapeError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { contiguous } from './contiguous.js';

const reductions = ['none', 'mean', 'sum'] as const;

export interface CrossEntropyOptions {
  /** The share of each target's probability that is spread evenly over all classes. 0 to 1, default 0. */
  labelSmoothing?: number | undefined;
  /**
   * A target that is left out of the loss, a 32-bit integer such as the padding id; null for none (the default, where
   * PyTorch has -100). The gradient of its logits is 0, even if they are not finite.
   */
  ignoreIndex?: number | null | undefined;
  /** The mean over targets that are not ignored (the default), their sum, or the loss of each target (0 if ignored). */
  reduction?: (typeof reductions)[number] | undefined;
}

/**
 * -ln softmax(logits)[target], with labels smoothed as in Szegedy et al. 2015 (arXiv 1512.00567). Probabilities are
 * never stored: the logits are read once forward and once backward.
 *
 * `logits` float32 [..., classes]; `targets` int32 [...]; result [], or [...] with reduction 'none'. The mean over no
 * targets is NaN, as in PyTorch. A target that is neither a class nor ignored fails the run (CommandError). Throws
 * ShapeError, DTypeError, ArgumentError.
 */
export function crossEntropy(logits: Tensor, targets: Tensor, options: CrossEntropyOptions = {}): Tensor {
  const op = 'crossEntropy';
  const { labelSmoothing = 0, ignoreIndex = null, reduction = 'mean' } = checkOptions(op, options);
  const device = checkDevice(op, { logits, targets });
  checkDType(op, 'logits', logits, 'float32');
  checkDType(op, 'targets', targets, 'int32');
  if (logits.shape.length === 0) throw new ShapeError(`${op}: logits is [], expected [..., classes]`);
  checkShape(op, 'targets', targets, logits.shape.slice(0, -1));
  checkNumber(op, 'labelSmoothing', labelSmoothing, (value) => value >= 0 && value <= 1, 'a number from 0 to 1');
  if (ignoreIndex !== null) checkNumber(op, 'ignoreIndex', ignoreIndex, isInt32, 'a 32-bit integer or null');
  checkOneOf(op, 'reduction', reduction, reductions);

  return device.scope(() => {
    const { rows, cols: classes, stride } = matrixOf(logits);
    const each = reduction === 'none';
    const losses = device.empty(targets.shape);
    const loss = each ? null : device.empty([]);
    const weight = each ? null : device.empty([]);
    const operands = {
      x: logits,
      targets: contiguous(targets),
      logSums: device.empty([rows, 2]),
      weight,
      rows,
      classes,
      stride,
      smoothing: labelSmoothing,
      hasIgnored: ignoreIndex !== null,
      ignored: ignoreIndex ?? 0,
      reduction: device.constant(`reduction.${reduction}`),
    };
    device.emit(op, { losses, loss, ...operands }, 4 * logits.size);
    const backward = (dloss: Tensor) => {
      const dx = gradOf(logits);
      const dxStride = dx?.tensor.rowStride ?? classes;
      const gradient = { dx: dx?.tensor, dxStride, accumulate: accumulateBits(dx) };
      device.emit('crossEntropyBackward', { dloss, ...gradient, ...operands }, 4 * logits.size);
    };
    return differentiable(loss ?? losses, [logits], backward, [operands.targets]);
  });
}
