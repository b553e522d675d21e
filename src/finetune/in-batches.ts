/** Maximum number of tokens per forward pass. */
const TOKENS = 4096;

/** Runs `run` on batches of items of similar length. Returns the results in the order of the items. */
export async function byLength<Item, Result>(
  items: readonly Item[],
  lengthOf: (item: Item) => number,
  run: (batch: readonly Item[]) => Promise<readonly Result[]>,
): Promise<Result[]> {
  const lengths = items.map(lengthOf);
  const order = items.map((_, i) => i).sort((a, b) => (lengths[a] as number) - (lengths[b] as number));
  const results = new Array<Result>(items.length);
  for (let start = 0; start < order.length; ) {
    let end = start;
    for (let sum = 0; end < order.length; end++) {
      sum += lengths[order[end] as number] as number;
      if (end > start && sum > TOKENS) break;
    }
    const indices = order.slice(start, end);
    const found = await run(indices.map((i) => items[i] as Item));
    for (const [n, i] of indices.entries()) results[i] = found[n] as Result;
    start = end;
  }
  return results;
}
