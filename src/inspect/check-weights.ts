import { ArgumentError } from '../core/errors.js';

/** Throws ArgumentError unless there is one finite weight for each cell of a picture. */
export function checkWeights(op: string, weights: ArrayLike<number>, rows: number, columns: number): void {
  if (weights.length !== rows * columns) {
    throw new ArgumentError(`${op}: ${weights.length} weights, expected ${rows} rows × ${columns} columns`);
  }
  for (let at = 0; at < weights.length; at++) {
    if (Number.isFinite(weights[at])) continue;
    const place = `row ${Math.floor(at / columns)}, column ${at % columns}`;
    throw new ArgumentError(`${op}: the weight of ${place} is ${weights[at]}, expected a finite number`);
  }
}
