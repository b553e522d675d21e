import type { CrossEntropyOptions } from '../../src/ops/index.js';
import { logSoftmax } from './norm.js';
import { build, lastOf, type Reals, sum } from './reals.js';

/** Rows of table [vocabulary, d] by ids [...], times scale: [..., d]. */
export function embedding(table: Reals, ids: Reals<Int32Array>, scale = 1): Reals {
  const d = lastOf(table.shape);
  return build([...ids.shape, d], (i) => table.data[ids.data[Math.floor(i / d)]! * d + (i % d)]! * scale);
}

type LossOptions = Pick<CrossEntropyOptions, 'labelSmoothing' | 'ignoreIndex' | 'reduction'>;

/**
 * −Σ weight · wanted · log probability of each target (0 if ignored). They are returned each, as a sum, or as a mean
 * over targets that are not ignored, weighted. A share `labelSmoothing` of the wanted probability is spread evenly over
 * all classes. logProbs [..., classes], targets [...], weight [classes].
 */
export function nllLoss(
  logProbs: Reals,
  targets: Reals<Int32Array>,
  { labelSmoothing = 0, ignoreIndex = -100, reduction = 'mean' }: LossOptions = {},
  weight: Reals | null = null,
): Reals {
  const classes = lastOf(logProbs.shape);
  const weightOf = (target: number) => weight?.data[target] ?? 1;
  const losses = build(targets.shape, (row) => {
    const ofRow = logProbs.data.subarray(row * classes, (row + 1) * classes);
    const target = targets.data[row]!;
    if (target === ignoreIndex) return 0;
    const all = sum(ofRow.map((log, c) => log * weightOf(c)));
    return -(1 - labelSmoothing) * weightOf(target) * ofRow[target]! - (labelSmoothing / classes) * all;
  });
  if (reduction === 'none') return losses;
  const used = sum(Array.from(targets.data, (target) => (target === ignoreIndex ? 0 : weightOf(target))));
  return { shape: [], data: Float64Array.of(sum(losses.data) / (reduction === 'sum' ? 1 : used)) };
}

/** Same for log softmax(logits). */
export function crossEntropy(
  logits: Reals,
  targets: Reals<Int32Array>,
  options: LossOptions = {},
  weight: Reals | null = null,
): Reals {
  return nllLoss(logSoftmax(logits), targets, options, weight);
}
