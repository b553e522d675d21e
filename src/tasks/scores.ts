// Conversion of logits to probabilities, in float64.

/** Probabilities that add up to 1. */
export function softmax(logits: ArrayLike<number>): number[] {
  let max = -Infinity;
  for (let i = 0; i < logits.length; i++) max = Math.max(max, logits[i] as number);
  const powers = Array.from(logits, (logit) => Math.exp(logit - max));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

export function sigmoid(logit: number): number {
  return 1 / (1 + Math.exp(-logit));
}

/** Returns the indices of the largest values in descending order. Equal values keep their order. */
export function largest(values: ArrayLike<number>, count: number): number[] {
  const isAhead = (a: number, b: number) => (values[b] as number) - (values[a] as number) || a - b;
  const indices: number[] = [];
  // Only the best indices so far are kept sorted. Sorting a whole vocabulary would take 20 ms.
  const max = Math.max(count, 32);
  for (let i = 0; i < values.length; i++) {
    indices.push(i);
    if (indices.length >= 4 * max) indices.sort(isAhead).length = max;
  }
  return indices.sort(isAhead).slice(0, count);
}
