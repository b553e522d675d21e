/**
 * Maximum number of tokens that a model reads side by side, but for a single longer text. Memory grows with the tokens
 * of a batch; products of matrices gain nothing from more rows.
 */
export const MAX_BATCH_TOKENS = 2048;

/** Consecutive rows in batches of at most `most` tokens, each of one row at least. */
export function tokenBatches<Row>(
  rows: readonly Row[],
  lengthOf: (row: Row) => number,
  max = MAX_BATCH_TOKENS,
): Row[][] {
  const batches: Row[][] = [];
  let tokens = Number.POSITIVE_INFINITY;
  for (const row of rows) {
    const length = lengthOf(row);
    if (tokens + length > max) {
      batches.push([]);
      tokens = 0;
    }
    batches.at(-1)?.push(row);
    tokens += length;
  }
  return batches;
}
