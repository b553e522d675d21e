/** Returns the index of the greatest number; the first of equal ones. */
export function argmax(values: ArrayLike<number>): number {
  let best = 0;
  let max = values[0] as number;
  for (let i = 1; i < values.length; i++) {
    const value = values[i] as number;
    if (value > max) [best, max] = [i, value];
  }
  return best;
}
