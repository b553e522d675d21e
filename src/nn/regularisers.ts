import type { Tensor } from '../core/tensor.js';
import { add, mul, scale, sub } from '../ops/binary.js';
import { mean, sum } from '../ops/reduce.js';
import { rmsNorm } from '../ops/rms-norm.js';
import { logSoftmax, softmax } from '../ops/softmax.js';

/** Returns KL(p‖q) + KL(q‖p) of two distributions, averaged over N. `a` and `b`: logits, float32 [N, classes]. */
function divergence(a: Tensor, b: Tensor): Tensor {
  const terms = mul(sub(softmax(a), softmax(b)), sub(logSoftmax(a), logSoftmax(b)));
  return scale(sum(terms), 1 / (a.shape[0] as number));
}

/**
 * Returns half of R-Drop's loss (Liang et al. 2021, eq. 4): the mean of two passes' losses + strength/4 · their
 * divergence.
 */
export function withRDrop(
  losses: readonly [Tensor, Tensor],
  logits: readonly [Tensor, Tensor],
  strength: number,
): Tensor {
  return add(scale(add(...losses), 1 / 2), scale(divergence(...logits), strength / 4));
}

/**
 * Returns the mean cosine between the outputs of all pairs of heads of one attention, a float32 scalar. `outputs`: [N,
 * heads·d]. Each head is also paired with itself, so values range from about 0 to 1. Added to the loss, it makes heads
 * differ (output disagreement, Li et al. 2018, arXiv 1810.10183).
 */
export function headSimilarity(outputs: Tensor, heads: number): Tensor {
  const rows = outputs.size / (outputs.shape.at(-1) as number);
  // Each unit has the L2 norm √d, so the mean square of the sum of all heads is the sum of all cosines.
  const units = rmsNorm(outputs.reshape(rows * heads, -1), null); // [N·heads, d]
  const sums = sum(units.reshape(rows, heads, -1), { axis: 1 }); // [N, d]
  return scale(mean(mul(sums, sums)), 1 / heads ** 2);
}

/** Returns loss + strength · the mean of `headSimilarity` over all attentions. `outputs`: one tensor per attention. */
export function withHeadDiversity(loss: Tensor, strength: number, outputs: readonly Tensor[], heads: number): Tensor {
  const total = outputs.map((output) => headSimilarity(output, heads)).reduce((a, b) => add(a, b));
  return add(loss, scale(total, strength / outputs.length));
}
