import { describeShape } from '../core/check.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import { Tensor } from '../core/tensor.js';
import type { Values } from './trace-types.js';

/** Statistics of a head, each a mean over the queries of a batch. */
export interface HeadStatistics {
  /** Entropy of the weights in bits: 0 if all weight is on one key, log2(keys) if all keys have equal weights. */
  readonly entropy: number;
  /** Weighted mean distance from query to key, in tokens. */
  readonly distance: number;
  /** Mean weight on the token before the query, without the first query. It is near 1 for a "previous token" head. */
  readonly previous: number;
}

/**
 * Statistics of every head of one layer. `weights` are attention probabilities, [B, heads, Tq, Tk] or [heads, Tq, Tk],
 * from `attentionMaps` or a trace. Rows without weight do not count.
 *
 * Throws ShapeError for other shapes. Throws ArgumentError if a weight is negative or not finite, or if a head has no
 * weight.
 */
export async function headStatistics(weights: Tensor | Values): Promise<HeadStatistics[]> {
  const { shape } = weights;
  if (shape.length !== 3 && shape.length !== 4) {
    const expected = '[batch, heads, queries, keys] or [heads, queries, keys]';
    throw new ShapeError(`headStatistics: weights are ${describeShape(shape)}, expected ${expected}`);
  }
  const [heads, queries, keys] = shape.slice(-3) as [number, number, number];
  const batch = shape.length === 4 ? (shape[0] as number) : 1;
  const values = weights instanceof Tensor ? ((await weights.data()) as Float32Array) : weights.data;
  if (values.length !== batch * heads * queries * keys) {
    throw new ShapeError(`headStatistics: ${values.length} weights do not fill ${describeShape(shape)}`);
  }
  const wrong = values.findIndex((weight) => !(weight >= 0 && weight < Number.POSITIVE_INFINITY));
  if (wrong >= 0) {
    throw new ArgumentError(`headStatistics: weight ${wrong} is ${values[wrong]}, expected a finite number, 0 or more`);
  }
  return Array.from({ length: heads }, (_, head) => {
    const sums = { rows: 0, entropy: 0, distance: 0, previous: 0, rowsWithPrevious: 0 };
    for (let b = 0; b < batch; b++) {
      for (let q = 0; q < queries; q++) {
        const start = ((b * heads + head) * queries + q) * keys;
        addRow(sums, values.subarray(start, start + keys), q);
      }
    }
    const { rows, rowsWithPrevious } = sums;
    if (rows === 0) {
      throw new ArgumentError(`headStatistics: head ${head} has no weights: all are 0, expected a row that sums to 1`);
    }
    const distance = sums.distance / rows;
    return { entropy: sums.entropy / rows, distance, previous: sums.previous / Math.max(1, rowsWithPrevious) };
  });
}

function addRow(
  sums: { rows: number; entropy: number; distance: number; previous: number; rowsWithPrevious: number },
  row: Float32Array,
  query: number,
): void {
  let weight = 0;
  for (let key = 0; key < row.length; key++) {
    const p = row[key] as number;
    if (p === 0) continue;
    weight += p;
    sums.entropy -= p * Math.log2(p);
    sums.distance += p * Math.abs(key - query);
  }
  if (weight === 0) return;
  sums.rows++;
  if (query > 0 && query <= row.length) {
    sums.rowsWithPrevious++;
    sums.previous += row[query - 1] as number;
  }
}
