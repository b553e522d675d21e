// Sequences of different lengths, packed end to end, so that no layer computes padding. Attention gets the lengths, to
// know where each sequence starts.

import { describeValue } from '../core/check.js';
import type { Device } from '../core/device.js';
import { ArgumentError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import type { ImageEffects } from './image-effects.js';

/** Lengths and positions of packed sequences of tokens, audio frames or image patches. */
export class Sequences {
  constructor(
    /** int32 [N]: position of each row in its sequence, from 0. */
    readonly positions: Tensor,
    /** int32 [B]: length of each sequence. */
    readonly lengths: Tensor,
    /** The lengths as numbers, for code that decides shapes. */
    readonly counts: readonly number[],
    /**
     * Marks the rows that are tokens, if padding is computed like tokens. All sequences then have the same length, and
     * no token's result depends on padding. Null if all rows are tokens, which is usual.
     */
    readonly isToken: readonly (readonly boolean[])[] | null = null,
    /** Images among the tokens; null if there are none. */
    readonly imageEffects: ImageEffects | null = null,
  ) {}

  /** Makes sequences with `counts` rows each, all at least 1. Belongs to the current scope. */
  static of(device: Device, counts: readonly number[], imageEffects: ImageEffects | null = null): Sequences {
    return device.scope(() => {
      const [positions, lengths] = [positionsWithin(counts), new Int32Array(counts)].map((data) => device.tensor(data));
      return new Sequences(positions as Tensor, lengths as Tensor, counts, null, imageEffects);
    });
  }

  /** The number of sequences. */
  get size(): number {
    return this.counts.length;
  }

  /** Number of rows of all sequences. */
  get total(): number {
    return this.positions.size;
  }

  /** Number of rows of the longest sequence. */
  get longest(): number {
    return this.counts.reduce((max, count) => Math.max(max, count)); // spread arguments would overflow the stack
  }

  /** @internal Row index of the last row of each sequence. */
  get ends(): Int32Array {
    let end = -1;
    return Int32Array.from(this.counts, (count) => (end += count));
  }

  /** @internal Row index of the first row of each sequence. */
  get starts(): Int32Array {
    return this.ends.map((end, i) => end + 1 - (this.counts[i] as number));
  }

  /** @internal float32 [N, 1]: 1 for tokens, 0 for padding; null if no padding is computed. */
  get tokenMask(): Tensor | null {
    const { isToken, positions } = this;
    return isToken && positions.device.tensor(Float32Array.from(isToken.flat(), Number), [positions.size, 1]);
  }

  get tensors(): readonly Tensor[] {
    return [this.positions, this.lengths];
  }

  /** Frees its memory before its scope ends, or without a scope. */
  dispose(): void {
    for (const tensor of this.tensors) tensor.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Position of each row in its sequence. */
export function positionsWithin(counts: readonly number[]): Int32Array {
  const positions = new Int32Array(counts.reduce((sum, count) => sum + count, 0));
  let index = 0;
  for (const count of counts) for (let position = 0; position < count; position++) positions[index++] = position;
  return positions;
}

/** Checks a batch for callers without types: an array of lengths, for example, would count as one sequence. */
export function checkSequences(op: string, batch: Sequences): Sequences {
  if (batch instanceof Sequences) return batch;
  throw new ArgumentError(`${op}: the batch is ${describeValue(batch)}, expected a TokenBatch`);
}
