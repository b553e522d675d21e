/**
 * Maximum number of tokens that a model reads side by side, but for a single longer text. Memory grows with the tokens
 * of a batch; products of matrices gain nothing from more rows.
 */
export const MAX_BATCH_TOKENS = 2048;

/** Splits consecutive rows into batches of at most `max` tokens. A batch has at least one row. */
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
