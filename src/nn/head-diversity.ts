import type { Tensor } from '../core/tensor.js';
import { add, mul, scale } from '../ops/binary.js';
import { mean, sum } from '../ops/reduce.js';
import { rmsNorm } from '../ops/rms-norm.js';

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
