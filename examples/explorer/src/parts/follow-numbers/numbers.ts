// Computations of the page itself: steps of attention that the user can switch off, and batch normalization, which
// Transformers do not use.

import type { AttentionTrace, NormTrace, Values } from 'simdformer/inspect';
import { matrixOf } from '../../traced.js';

export interface Switches {
  /** Divides scores by √d. */
  readonly scaled: boolean;
  /** Hides the keys that come later. */
  readonly masked: boolean;
}

/** The scores of a head, -∞ where a key is hidden, and their softmax; both [Tq, Tk]. */
export function attend(
  { products, relative, bias, scale }: AttentionTrace,
  head: number,
  { scaled, masked }: Switches,
): { scores: Float32Array; weights: Float32Array } {
  const { shape, data } = matrixOf(products, head);
  const columns = shape[1] as number;
  const [byDistance, added] = [relative, bias].map((values) => values && matrixOf(values, head).data);
  const scores = data.map((product, i) => {
    if (masked && i % columns > Math.floor(i / columns)) return Number.NEGATIVE_INFINITY;
    return (product + (byDistance?.[i] ?? 0)) * (scaled ? scale : 1) + (added?.[i] ?? 0);
  });
  const weights = new Float32Array(scores.length);
  for (let start = 0; start < scores.length; start += columns) {
    weights.set(softmax(scores.subarray(start, start + columns)), start);
  }
  return { scores, weights };
}

export function softmax(scores: Float32Array): Float32Array {
  const most = scores.reduce((a, b) => Math.max(a, b));
  const powers = Array.from(scores, (score) => Math.exp(score - most));
  const total = powers.reduce((a, b) => a + b);
  return Float32Array.from(powers, (power) => power / total);
}

/** Returns the entropy in bits. */
export function entropy(weights: Float32Array): number {
  return weights.reduce((sum, p) => (p > 0 ? sum - p * Math.log2(p) : sum), 0);
}

/**
 * Batch normalization of the same numbers with equal weight and bias (Ioffe, Szegedy 2015). It takes mean and variance
 * of each feature over the tokens that are `present`. Layer normalization takes those of each token over its features.
 * NaN for absent tokens.
 */
export function batchNorm({ input, weight, bias }: NormTrace, eps: number, present: readonly boolean[]): Float32Array {
  const columns = input.shape.at(-1) as number;
  const rows = present.flatMap((is, row) => (is ? [row] : []));
  const output = new Float32Array(input.data.length).fill(Number.NaN);
  for (let column = 0; column < columns; column++) {
    const at = (row: number) => input.data[row * columns + column] as number;
    const mean = rows.reduce((sum, row) => sum + at(row), 0) / rows.length;
    const variance = rows.reduce((sum, row) => sum + (at(row) - mean) ** 2, 0) / rows.length;
    for (const row of rows) {
      const normed = (at(row) - mean) / Math.sqrt(variance + eps);
      output[row * columns + column] = (weight.data[column] as number) * normed + (bias?.data[column] ?? 0);
    }
  }
  return output;
}

/** Returns a bound of nearly all values, so that a single outlier does not make the others pale. */
export function spread(...parts: readonly Float32Array[]): number {
  const sizes = joined(...parts)
    .map(Math.abs)
    .filter((size) => size < Infinity)
    .sort();
  return sizes[Math.floor(0.98 * (sizes.length - 1))] || 1;
}

/** Vectors of one width end to end. */
export function joined(...vectors: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(vectors.reduce((sum, { length }) => sum + length, 0));
  let end = 0;
  for (const vector of vectors) {
    all.set(vector, end);
    end += vector.length;
  }
  return all;
}

/** Row by row, values times a weight each. */
export function weighted(weights: Float32Array, { shape, data }: Values): Float32Array {
  const columns = shape.at(-1) as number;
  return data.map((value, i) => value * (weights[Math.floor(i / columns)] as number));
}
