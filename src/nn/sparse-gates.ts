// Sparse gates of feed-forward networks (Gemma 3n).

import { checkNumber } from '../core/check.js';
import type { Tensor } from '../core/tensor.js';
import { relu } from '../ops/activation.js';
import { add, scale, sub } from '../ops/binary.js';
import { mean } from '../ops/reduce.js';
import { std } from '../ops/statistics.js';

/**
 * Returns a function for `FeedForwardOptions.gateFilter` that maps gates, float32 [N, dFF], to max(gate − threshold,
 * 0). A token's threshold is mean + Φ⁻¹(share) · standard deviation of its gates. `share` is the fraction of gates that
 * become zero if they are normally distributed, from 0 to below 1. Throws ArgumentError.
 */
export function sparseGates(share: number): (gates: Tensor) => Tensor {
  checkNumber('sparseGates', 'share', share, (value) => value >= 0 && value < 1, 'a number from 0 to below 1');
  const cutoff = normalQuantile(share);
  return (gates) => {
    const lastAxis = { axis: -1, keepDims: true };
    const min = add(mean(gates, lastAxis), scale(std(gates, { ...lastAxis, correction: 0 }), cutoff));
    return relu(sub(gates, min));
  };
}

/**
 * @internal Returns Φ⁻¹(p), the quantile of the standard normal distribution, by Newton's method. `p` is from 0 to 1.
 */
export function normalQuantile(p: number): number {
  let x = 0;
  for (let i = 0; i < 50; i++) {
    const step = (normalShare(x) - p) / density(x);
    x -= Math.max(-1, Math.min(1, step));
    if (Math.abs(step) < 1e-14) break;
  }
  return x;
}

const density = (x: number) => Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI);

/** @internal Returns Φ(x), the share of a standard normal distribution below `x`, by its series. */
export function normalShare(x: number): number {
  if (x < -8) return 0; // below 1e-15
  let [term, sum] = [x, x];
  for (let n = 3; Math.abs(term) > 1e-17 * Math.abs(sum); n += 2) sum += term *= (x * x) / n;
  return 0.5 + density(x) * sum;
}
