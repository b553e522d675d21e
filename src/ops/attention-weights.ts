import type { Tensor } from '../core/tensor.js';
import { type AttentionOptions, checkAttention, checkTensors } from './attention-inputs.js';

/**
 * The probabilities softmax(scale · q kᵀ + bias) that `attention` uses without ever writing them down: float32
 * [B, heads, Tq, Tk], zero for rows and keys past their lengths. Packed: Tq and Tk are the longest items'; give the
 * lengths as arrays then. Same options and errors as `attention`; not differentiable.
 */
export function attentionWeights(q: Tensor, k: Tensor, options: AttentionOptions = {}): Tensor {
  const op = 'attentionWeights';
  const device = checkTensors(op, { q, k }, options);
  return device.scope(() => {
    const { batch, heads, maxQ, maxK, width, operands } = checkAttention(op, device, q, k, options);
    const p = device.empty([batch, heads, maxQ, maxK]);
    device.emit(op, { v: null, valueWidth: width, vStride: 0, p, maxQ, maxK, ...operands }, 2 * p.size * width);
    return p;
  });
}
