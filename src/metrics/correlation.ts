// How well numbers follow others, with the numbers of SciPy.

import { checkPaired } from './classification.js';

/** Pearson's correlation; NaN where either side does not vary. */
export function pearson(predictions: ArrayLike<number>, references: ArrayLike<number>): number {
  checkPaired('pearson', predictions, references);
  const [a, b] = [centred(predictions), centred(references)];
  const product = (x: readonly number[], y: readonly number[]) =>
    x.reduce((sum, value, i) => sum + value * (y[i] as number), 0);
  return product(a, b) / Math.sqrt(product(a, a) * product(b, b));
}

/** Spearman's rank correlation: Pearson's of ranks, equal values sharing the mean of theirs. */
export function spearman(predictions: ArrayLike<number>, references: ArrayLike<number>): number {
  checkPaired('spearman', predictions, references);
  return pearson(ranks(predictions), ranks(references));
}

/** The mean of (prediction − reference)². */
export function meanSquaredError(predictions: ArrayLike<number>, references: ArrayLike<number>): number {
  checkPaired('meanSquaredError', predictions, references);
  const squares = Array.from(predictions, (value, i) => (value - (references[i] as number)) ** 2);
  return squares.reduce((sum, square) => sum + square, 0) / squares.length;
}

function centred(values: ArrayLike<number>): number[] {
  const all = Array.from(values);
  const mean = all.reduce((sum, value) => sum + value, 0) / all.length;
  return all.map((value) => value - mean);
}

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
