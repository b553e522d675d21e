import type { Tensor } from '../core/tensor.js';
import { checkAttention, checkTensors, operandsOf } from './attention-inputs.js';
import { type AttentionWeightsOptions, stageNumber, WEIGHTS_KINDS } from './attention-options.js';

export type { AttentionWeightsOptions } from './attention-options.js';

/**
 * Returns the probabilities softmax(scale · q kᵀ + bias), which `attention` uses without storing them, or the scores of
 * an earlier `stage`. `q` is float32 [B, Tq, heads·d], `k` [B, Tk, kvHeads·d]; the result is float32 [B, heads, Tq,
 * Tk]. Packed: Tq and Tk are the lengths of the longest items, and the lengths must be arrays. Options and errors are
 * those of `attention`. There is no gradient.
 */
export function attentionWeights(q: Tensor, k: Tensor, options: AttentionWeightsOptions = {}): Tensor {
  const op = 'attentionWeights';
  const device = checkTensors(op, { q, k }, options, WEIGHTS_KINDS);
  return device.scope(() => {
    const inputs = checkAttention(op, device, q, k, options);
    const { sizes, biases, maxQ, maxK } = inputs;
    const p = device.empty([sizes.batch, sizes.heads, maxQ, maxK]);
    const stage = stageNumber(options.stage ?? 'softmax');
    const operands = operandsOf(inputs, null, sizes.width, biases.scoreDistances);
    device.emit(op, { p, maxQ, maxK, stage, ...operands }, 2 * p.size * sizes.width);
    return p;
  });
}
