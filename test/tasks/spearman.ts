/** The places of values in their order, from 0 on; equal ones share the mean of theirs. */
function ranks(values: readonly number[]): number[] {
  const order = [...values.keys()].sort((a, b) => values[a]! - values[b]!);
  const found = new Array<number>(values.length);
  for (let start = 0, end = 0; start < order.length; start = end) {
    while (end < order.length && values[order[end]!] === values[order[start]!]) end++;
    for (const i of order.slice(start, end)) found[i] = (start + end - 1) / 2;
  }
  return found;
}

/** Spearman's rank correlation: Pearson's, of the ranks. */
export function spearman(a: readonly number[], b: readonly number[]): number {
  const middle = (a.length - 1) / 2;
  const [x, y] = [a, b].map((values) => ranks(values).map((rank) => rank - middle)) as [number[], number[]];
  const dot = (p: number[], q: number[]) => p.reduce((sum, value, i) => sum + value * q[i]!, 0);
  return dot(x, y) / Math.sqrt(dot(x, x) * dot(y, y));
}
