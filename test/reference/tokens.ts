import type { CrossEntropyOptions } from '../../src/index.js';
import { logSoftmax } from './norm.js';
import { build, lastOf, type Reals, sum } from './reals.js';

/** Rows of table [vocabulary, d] by ids [...], times scale: [..., d]. */
export function embedding(table: Reals, ids: Reals<Int32Array>, scale = 1): Reals {
  const d = lastOf(table.shape);
  return build([...ids.shape, d], (i) => table.data[ids.data[Math.floor(i / d)]! * d + (i % d)]! * scale);
}

/**
 * −Σ wanted · log softmax(logits) of each target (0 if ignored), their sum, or their mean over targets that are not ignored;
 * a share `labelSmoothing` of what is wanted is spread evenly over all classes. logits [..., classes], targets [...].
 */
export function crossEntropy(
  logits: Reals,
  targets: Reals<Int32Array>,
  { labelSmoothing = 0, ignoreIndex = null, reduction = 'mean' }: CrossEntropyOptions = {},
): Reals {
  const classes = lastOf(logits.shape);
  const logs = logSoftmax(logits).data;
  const losses = build(targets.shape, (row) => {
    const ofRow = logs.subarray(row * classes, (row + 1) * classes);
    if (targets.data[row] === ignoreIndex) return 0;
    return -(1 - labelSmoothing) * ofRow[targets.data[row]!]! - (labelSmoothing / classes) * sum(ofRow);
  });
  if (reduction === 'none') return losses;
  const used = targets.data.filter((target) => target !== ignoreIndex).length;
  return { shape: [], data: Float64Array.of(sum(losses.data) / (reduction === 'sum' ? 1 : used)) };
}
