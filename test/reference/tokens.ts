import { logSoftmax } from './norm.js';
import { build, lastOf, type Reals, sum } from './reals.js';

/** Rows of table [vocabulary, d] by ids [...], times scale: [..., d]. */
export function embedding(table: Reals, ids: Reals<Int32Array>, scale = 1): Reals {
  const d = lastOf(table.shape);
  return build([...ids.shape, d], (i) => table.data[ids.data[Math.floor(i / d)]! * d + (i % d)]! * scale);
}

/**
 * The mean over targets that are not ignored of −Σ wanted · log softmax(logits), where a share `labelSmoothing` of what is
 * wanted is spread evenly over all classes. logits [..., classes], targets [...].
 */
export function crossEntropy(
  logits: Reals,
  targets: Reals<Int32Array>,
  { labelSmoothing = 0, ignoreIndex = null }: { labelSmoothing?: number; ignoreIndex?: number | null } = {},
): Reals {
  const classes = lastOf(logits.shape);
  const logs = logSoftmax(logits).data;
  const used = [...targets.data.keys()].filter((row) => targets.data[row] !== ignoreIndex);
  const losses = used.map((row) => {
    const ofRow = logs.subarray(row * classes, (row + 1) * classes);
    return -(1 - labelSmoothing) * ofRow[targets.data[row]!]! - (labelSmoothing / classes) * sum(ofRow);
  });
  return { shape: [], data: Float64Array.of(sum(losses) / used.length) };
}
