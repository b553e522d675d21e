import type { WeightEntry } from '../models/weight-entry.js';

/** A tensor that is computed from others of its file when it is read. */
export class ComputedWeight implements WeightEntry {
  readonly dtype = 'F32';
  readonly size: number;

  constructor(
    readonly shape: readonly number[],
    readonly data: () => Promise<Float32Array>,
  ) {
    this.size = shape.reduce((product, n) => product * n, 1);
  }

  async *stream(): AsyncGenerator<Float32Array> {
    yield this.data();
  }
}
