// Correlation of predicted numbers and references, as SciPy computes it.

import { checkPaired, NUMBERS } from './check.js';

/** Pearson's correlation, from -1 to 1. NaN if either side is constant, or has a value that is NaN or infinite. */
export function pearson(predictions: ArrayLike<number>, references: ArrayLike<number>): number {
  checkPaired('pearson', { predictions, references }, NUMBERS);
  const [a, b] = [standardized(predictions), standardized(references)];
  const sum = a.reduce((total, value, i) => total + value * (b[i] as number), 0);
  return Math.min(1, Math.max(-1, sum));
}

/**
 * Spearman's rank correlation: Pearson's correlation of the ranks. Equal values share the mean of their ranks. NaN if
 * either side is constant, or if any value is NaN.
 */
export function spearman(predictions: ArrayLike<number>, references: ArrayLike<number>): number {
  checkPaired('spearman', { predictions, references }, NUMBERS);
  const hasNaN = [predictions, references].some((values) => Array.from(values).some(Number.isNaN));
  return hasNaN ? Number.NaN : pearson(ranks(predictions), ranks(references));
}

/** The mean of (prediction − reference)². */
export function meanSquaredError(predictions: ArrayLike<number>, references: ArrayLike<number>): number {
  checkPaired('meanSquaredError', { predictions, references }, NUMBERS);
  const squares = Array.from(predictions, (value, i) => (value - (references[i] as number)) ** 2);
  return squares.reduce((sum, square) => sum + square, 0) / squares.length;
}

/**
 * Scales values to mean 0 and Euclidean norm 1. Returns NaN if all values are equal, which is checked explicitly
 * because their computed mean can differ from them by rounding.
 */
function standardized(values: ArrayLike<number>): number[] {
  const all = Array.from(values);
  if (all.every((value) => value === all[0])) return all.map(() => Number.NaN);
  const scaled = ofUnitSize(all);
  const mean = scaled.reduce((sum, value) => sum + value, 0) / all.length;
  const deviations = ofUnitSize(scaled.map((value) => value - mean));
  const norm = Math.sqrt(deviations.reduce((sum, value) => sum + value * value, 0));
  return deviations.map((value) => value / norm);
}

/** The values divided by a power of two, which is exact, so that their sums and squares neither overflow nor vanish. */
function ofUnitSize(values: readonly number[]): number[] {
  const greatest = values.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  const size = 2 ** Math.min(1023, Math.floor(Math.log2(greatest)));
  return values.map((value) => value / size);
}

/** The rank of each value, from 1; equal values share the mean of their ranks. */
function ranks(values: ArrayLike<number>): number[] {
  const order = Array.from(values, (_, i) => i).sort((a, b) => (values[a] as number) - (values[b] as number));
  const found = new Array<number>(order.length);
  for (let start = 0; start < order.length; ) {
    let end = start + 1;
    while (end < order.length && values[order[end] as number] === values[order[start] as number]) end++;
    for (let i = start; i < end; i++) found[order[i] as number] = (start + end + 1) / 2;
    start = end;
  }
  return found;
}
