import { accumulateBits, differentiable, gradOf } from '../core/autograd.js';
import {
  checkAxis,
  checkDevice,
  checkDType,
  checkNumber,
  checkOptions,
  checkShape,
  isInt32,
  isShare,
  matrixOf,
  type OptionKind,
  orNull,
  SHARE,
} from '../core/check.js';
import type { Tensor } from '../core/tensor.js';
import { contiguous } from './contiguous.js';
import { checkHostIds } from './host-ids.js';
import { permute } from './move.js';

const reductions = ['none', 'mean', 'sum'] as const;

export interface NllLossOptions {
  /** float32 [classes]: the weight of targets of each class. It gets no gradient. Default: 1 for each class. */
  weight?: Tensor | null | undefined;
  /**
   * Targets with this value, a 32-bit integer, are left out of the loss; null: none are. Default: -100, as in PyTorch.
   * The gradient of their logits is 0, even if they are not finite.
   */
  ignoreIndex?: number | null | undefined;
  /**
   * 'mean': the mean over targets that are not ignored, with the weights of their classes. 'sum': their sum. 'none':
   * the loss of each target, 0 if ignored. Default: 'mean'.
   */
  reduction?: (typeof reductions)[number] | undefined;
  /**
   * The dimension of the classes; negative numbers count from the end. Default: -1, the last (1 in PyTorch and ONNX).
   */
  axis?: number | undefined;
}

export interface CrossEntropyOptions extends NllLossOptions {
  /** The share of each target's probability that is spread evenly over all classes: 0 to 1. Default: 0. */
  labelSmoothing?: number | undefined;
}

const kinds = {
  weight: orNull('tensor'),
  ignoreIndex: {
    accepts: (value) => value === null || (typeof value === 'number' && isInt32(value)),
    expected: 'a 32-bit integer or null',
  },
  reduction: reductions,
  axis: 'any',
} satisfies Record<keyof NllLossOptions, OptionKind>;

/**
 * -ln softmax(logits)[target], with label smoothing as in Szegedy et al. 2015 (arXiv 1512.00567) and class weights as
 * in PyTorch. Probabilities are never stored: each pass reads the logits once.
 *
 * `logits` float32 [..., classes], or with the classes at `axis`; `targets` int32, of the logits' shape without that
 * dimension. The result has the shape of `targets` with reduction 'none', else []. The mean over no targets is NaN, as
 * in PyTorch. A target that is neither a class nor ignored throws ArgumentError if the host wrote it; a computed one
 * fails the run (CommandError). Throws ShapeError, DTypeError, ArgumentError.
 */
export function crossEntropy(logits: Tensor, targets: Tensor, options: CrossEntropyOptions = {}): Tensor {
  const { labelSmoothing = 0, ...rest } = checkOptions('crossEntropy', options, { ...kinds, labelSmoothing: 'any' });
  checkNumber('crossEntropy', 'labelSmoothing', labelSmoothing, isShare, SHARE);
  return lossOf(logits, targets, rest, labelSmoothing);
}

/**
 * -logProbs[target], the cross entropy of log probabilities such as those of `logSoftmax`: `crossEntropy` without the
 * softmax. Shapes, options and errors are those of `crossEntropy`.
 */
export function nllLoss(logProbs: Tensor, targets: Tensor, options: NllLossOptions = {}): Tensor {
  return lossOf(logProbs, targets, checkOptions('nllLoss', options, kinds), null);
}

/** `smoothing` is null if `input` contains logarithms of probabilities. */
function lossOf(
  input: Tensor,
  targets: Tensor,
  { weight = null, ignoreIndex = -100, reduction = 'mean', axis = -1 }: NllLossOptions,
  smoothing: number | null,
): Tensor {
  const [op, name] = smoothing === null ? ['nllLoss', 'logProbs'] : ['crossEntropy', 'logits'];
  const device = checkDevice(op, { [name]: input, targets }, { weight });
  checkDType(op, name, input, 'float32');
  checkDType(op, 'targets', targets, 'int32');
  const classAxis = checkAxis(op, axis, input.shape);
  checkShape(op, 'targets', targets, input.shape.toSpliced(classAxis, 1));
  checkHostIds(op, 'targets', targets, input.shape[classAxis] as number, ignoreIndex);
  if (weight !== null) {
    checkDType(op, 'weight', weight, 'float32');
    checkShape(op, 'weight', weight, [input.shape[classAxis] as number]);
  }

  return device.scope(() => {
    const x = classesLast(input, classAxis);
    const { rows, cols: classes, stride } = matrixOf(x);
    const perTarget = reduction === 'none';
    const losses = device.empty(targets.shape);
    const loss = perTarget ? null : device.empty([]);
    const share = perTarget ? null : device.empty([]);
    const operands = {
      x,
      targets: contiguous(targets),
      weights: weight,
      logSums: device.empty([rows, 2]),
      share,
      rows,
      classes,
      stride,
      smoothing: smoothing ?? 0,
      logs: smoothing === null,
      hasIgnored: ignoreIndex !== null,
      ignored: ignoreIndex ?? 0,
      reduction: device.constant(`reduction.${reduction}`),
    };
    device.emit('crossEntropy', { losses, loss, ...operands }, 4 * x.size);
    const backward = (dloss: Tensor) => {
      const dx = gradOf(x);
      const dxStride = dx?.tensor.rowStride ?? classes;
      const gradient = { dx: dx?.tensor, dxStride, accumulate: accumulateBits(dx) };
      device.emit('crossEntropyBackward', { dloss, ...gradient, ...operands }, 4 * x.size);
    };
    return differentiable(loss ?? losses, [x], backward, [operands.targets, weight]);
  });
}

/** Returns `x` with dimension `classAxis` moved to the end. */
function classesLast(x: Tensor, classAxis: number): Tensor {
  const last = x.shape.length - 1;
  if (classAxis === last) return x;
  const otherAxes = x.shape.map((_, d) => d).filter((d) => d !== classAxis);
  return permute(x, [...otherAxes, classAxis]);
}
