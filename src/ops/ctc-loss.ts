import { differentiable, gradOf } from '../core/autograd.js';
import {
  checkDevice,
  checkDType,
  checkNumber,
  checkOptions,
  describeShape,
  describeValue,
  isWhole,
} from '../core/check.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { div } from './binary.js';
import { contiguous } from './contiguous.js';
import { checkHostIds } from './host-ids.js';
import { mean, sum } from './reduce.js';

const reductions = ['none', 'mean', 'sum'] as const;

export interface CtcLossOptions {
  /** Number of rows of each sequence, from 0 to T. Default: T for each. */
  lengths?: readonly number[] | undefined;
  /** Number of labels of each target, from 0 to S. Default: S for each. */
  targetLengths?: readonly number[] | undefined;
  /** The class of the blank, which stands for no label. Default: 0. */
  blank?: number | undefined;
  /**
   * 'mean': each loss divided by its number of labels (at least 1), then the mean over the batch. 'sum': the sum.
   * 'none': the loss of each sequence, float32 [B]. Default: 'mean'.
   */
  reduction?: (typeof reductions)[number] | undefined;
  /**
   * Concerns targets that need more rows than there are. True: their loss is 0, without a gradient. Default: false, the
   * loss is Infinity, the gradient NaN.
   */
  zeroInfinity?: boolean | undefined;
}

/**
 * Connectionist temporal classification (Graves et al. 2006): -ln of the probability that rows of labels and blanks
 * spell a target, summed over all alignments. It is torch.nn.functional.ctc_loss with the batch first.
 *
 * `logProbs` float32 [B, T, classes], as `logSoftmax` gives them; `targets` int32 [B, S], without blanks. The result is
 * [] or, without reduction, [B]. Rows and labels beyond the lengths are ignored. Takes memory for B · T · (2S + 1)
 * numbers. Throws ShapeError, DTypeError, ArgumentError.
 */
export function ctcLoss(logProbs: Tensor, targets: Tensor, options: CtcLossOptions = {}): Tensor {
  const device = checkDevice('ctcLoss', { logProbs, targets });
  checkDType('ctcLoss', 'logProbs', logProbs, 'float32');
  checkDType('ctcLoss', 'targets', targets, 'int32');
  const {
    blank = 0,
    reduction = 'mean',
    zeroInfinity = false,
  } = checkOptions('ctcLoss', options, {
    lengths: 'any',
    targetLengths: 'any',
    blank: 'whole',
    reduction: reductions,
    zeroInfinity: 'boolean',
  });
  const [batch, longest, classes] = logProbs.shape as readonly [number, number, number];
  const [rows, labels] = targets.shape as readonly [number, number];
  if (logProbs.shape.length !== 3 || targets.shape.length !== 2 || rows !== batch) {
    const shapes = `logProbs is ${describeShape(logProbs.shape)}, targets is ${describeShape(targets.shape)}`;
    throw new ShapeError(`ctcLoss: ${shapes}, expected [B, T, classes] and [B, S]`);
  }
  checkNumber('ctcLoss', 'blank', blank, (id) => id < classes, `a class, below ${classes}`);
  // With lengths, targets may contain padding.
  if (options.targetLengths === undefined) checkHostIds('ctcLoss', 'targets', targets, classes);
  const lengths = checkLengths('lengths', options.lengths, batch, longest);
  const targetLengths = checkLengths('targetLengths', options.targetLengths, batch, labels);
  const counted = lengths.flatMap((length, b) => [length, targetLengths[b] as number]);
  const states = 2 * labels + 1;
  return device.scope(() => {
    const shared = {
      logProbs: contiguous(logProbs),
      targets: contiguous(targets),
      lengths: device.tensor(Int32Array.from(counted), [batch, 2]),
      count: batch,
      time: longest,
      classes,
      labels,
      blank,
      zeroInfinity,
    };
    const losses = device.empty([batch]);
    const forward = device.empty([batch * longest, states]);
    device.emit('ctcLoss', { ...shared, losses, forward }, forward.size * 16);
    const backward = (dlosses: Tensor) => {
      const d = gradOf(shared.logProbs);
      if (!d) return;
      const operands = { dlosses, forward, backward: device.empty([2 * batch, states]) };
      const target = { d: d.tensor, accumulate: d.accumulate };
      device.emit('ctcLossBackward', { ...shared, ...operands, ...target }, forward.size * 32);
    };
    const loss = differentiable(losses, [shared.logProbs], backward, [shared.targets, shared.lengths, forward]);
    if (reduction === 'none') return loss;
    if (reduction === 'sum') return sum(loss);
    return mean(div(loss, device.tensor(Float32Array.from(targetLengths, (length) => Math.max(1, length)))));
  });
}

/** Returns the lengths of a batch: the given ones, or `max` for each item. Throws ArgumentError. */
function checkLengths(
  name: string,
  lengths: readonly number[] | undefined,
  batch: number,
  max: number,
): readonly number[] {
  if (lengths === undefined) return Array<number>(batch).fill(max);
  const fits = (length: unknown) => typeof length === 'number' && isWhole(length) && length <= max;
  if (Array.isArray(lengths) && lengths.length === batch && lengths.every(fits)) return lengths;
  throw new ArgumentError(`ctcLoss: ${name} is ${describeValue(lengths)}, expected ${batch} numbers from 0 to ${max}`);
}
