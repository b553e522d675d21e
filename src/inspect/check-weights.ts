import { ArgumentError } from '../core/errors.js';

/** Throws ArgumentError unless there is one finite weight for each cell of a picture. */
export function checkWeights(op: string, weights: ArrayLike<number>, rows: number, columns: number): void {
  if (weights.length !== rows * columns) {
    throw new ArgumentError(`${op}: ${weights.length} weights, expected ${rows} rows × ${columns} columns`);
  }
  for (let index = 0; index < weights.length; index++) {
    if (Number.isFinite(weights[index])) continue;
    const location = `row ${Math.floor(index / columns)}, column ${index % columns}`;
    throw new ArgumentError(`${op}: the weight of ${location} is ${weights[index]}, expected a finite number`);
  }
}
