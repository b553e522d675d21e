// Sequences of different lengths, packed end to end, so that no layer computes on padding. Attention gets the lengths,
// because it must know where each sequence starts.

import { describeValue } from '../core/check.js';
import type { Device } from '../core/device.js';
import { ArgumentError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';

/** The lengths and positions of packed sequences: of tokens, of frames of sound, of patches of a picture. */
export class Sequences {
  constructor(
    /** int32 [N]: each row's place in its sequence, from 0. */
    readonly positions: Tensor,
    /** int32 [B]. */
    readonly lengths: Tensor,
    /** The lengths once more, for code that decides shapes. */
    readonly counts: readonly number[],
    /**
     * Marks the rows that are tokens, if padding is computed along with them. All sequences then have one length, and
     * no token's result depends on padding. Null if all rows are tokens, which is the usual case.
     */
    readonly isToken: readonly (readonly boolean[])[] | null = null,
  ) {}

  /** Sequences of so many rows each, all at least 1. Belongs to the scope it is made in. */
  static of(device: Device, counts: readonly number[]): Sequences {
    return device.scope(() => {
      const [positions, lengths] = [placesOf(counts), new Int32Array(counts)].map((data) => device.tensor(data));
      return new Sequences(positions as Tensor, lengths as Tensor, counts);
    });
  }

  /** The number of sequences. */
  get size(): number {
    return this.counts.length;
  }

  /** Rows of all sequences. */
  get total(): number {
    return this.positions.size;
  }

  /** Rows of the longest. */
  get longest(): number {
    return this.counts.reduce((most, count) => Math.max(most, count)); // as arguments, there may be too many
  }

  /** @internal The row at which each sequence ends. */
  get ends(): Int32Array {
    let end = -1;
    return Int32Array.from(this.counts, (count) => (end += count));
  }

  /** @internal The row at which each sequence begins. */
  get starts(): Int32Array {
    return this.ends.map((end, i) => end + 1 - (this.counts[i] as number));
  }

  /** @internal float32 [N, 1]: 1 for tokens, 0 for padding that is computed along with them; null if none is. */
  get tokenMask(): Tensor | null {
    const { isToken, positions } = this;
    return isToken && positions.device.tensor(Float32Array.from(isToken.flat(), Number), [positions.size, 1]);
  }

  get tensors(): readonly Tensor[] {
    return [this.positions, this.lengths];
  }

  /** Gives its memory back before its scope ends, or without one. */
  dispose(): void {
    for (const tensor of this.tensors) tensor.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Each row's place in its sequence. */
export function placesOf(counts: readonly number[]): Int32Array {
  const places = new Int32Array(counts.reduce((sum, count) => sum + count, 0));
  let at = 0;
  for (const count of counts) for (let place = 0; place < count; place++) places[at++] = place;
  return places;
}

/** For callers without types: with an array of lengths, say, all sequences would count as one. */
export function checkSequences(op: string, batch: Sequences): Sequences {
  if (batch instanceof Sequences) return batch;
  throw new ArgumentError(`${op}: the batch is ${describeValue(batch)}, expected a TokenBatch`);
}
