import { checkDevice } from '../core/check.js';
import type { Tensor } from '../core/tensor.js';
import { type AttentionOptions, checkAttention } from './attention-inputs.js';

/**
 * The probabilities softmax(scale · q kᵀ + bias) that `attention` uses without ever writing them down: [B, heads, Tq, Tk], zero
 * for rows and keys past their lengths. Packed: Tq and Tk are the longest items'; give the lengths as arrays then. Same options
 * and errors as `attention`; not differentiable.
 */
export function attentionWeights(q: Tensor, k: Tensor, options: AttentionOptions = {}): Tensor {
  const device = checkDevice('attentionWeights', { q, k });
  return device.scope(() => {
    const { batch, heads, maxQ, maxK, width, operands } = checkAttention('attentionWeights', q, k, options);
    const p = device.empty([batch, heads, maxQ, maxK]);
    const unused = { v: null, valueWidth: width, vStride: 0 };
    device.emit('attentionWeights', { ...operands, ...unused, p, maxQ, maxK }, 2 * p.size * width);
    return p;
  });
}
