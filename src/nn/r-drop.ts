import type { Tensor } from '../core/tensor.js';
import { add, mul, scale, sub } from '../ops/binary.js';
import { sum } from '../ops/reduce.js';
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
