import type { StoredBlocks, WeightEntry } from '../models/weight-entry.js';

/** A tensor that is computed from others of its file when it is read. */
export class ComputedWeight implements WeightEntry {
  readonly dtype = 'F32';
  readonly size: number;

  constructor(
    readonly shape: readonly number[],
    readonly data: () => Promise<Float32Array>,
    private readonly packed?: StoredBlocks,
  ) {
    this.size = shape.reduce((product, n) => product * n, 1);
  }

  blocks(): StoredBlocks | undefined {
    return this.packed;
  }

  async *stream(): AsyncGenerator<Float32Array> {
    yield this.data();
  }
}
