// Rotary positions of texts with images. An image of many tokens may occupy few positions (Qwen-VL). Tokens after it
// then have rotary positions smaller than their index.

import type { Device } from '../core/device.js';
import type { Tensor } from '../core/tensor.js';
import { add, maximum, sub } from '../ops/binary.js';
import { cacheAppend, cacheCopy, cacheReorder, cacheWrite, clear } from '../ops/kv-cache.js';
import { gather } from '../ops/move.js';

/**
 * Keeps a shift for each token of each sequence: the rotary position of a text token right after it, minus that token's
 * index.
 */
export class PositionShifts {
  /** int32 [sequences, capacity, 1] */
  readonly #shifts: Tensor;
  /** int32 [sequences]: the rotary position of the newest token. */
  readonly rotaryPositions: Tensor;
  /** int32 [sequences]: row of each sequence's first shift in the flattened `#shifts`. */
  readonly #firsts: Tensor;
  /** `#zero` and `#one`: int32 [1]. */
  readonly #zero: Tensor;
  readonly #one: Tensor;

  /** With `whole`, the new object shares the memory of its first `sequences` sequences. */
  constructor(device: Device, sequences: number, capacity: number, whole: PositionShifts | null) {
    const firsts = Int32Array.from({ length: sequences }, (_, i) => i * capacity);
    const unscoped = <T>(make: () => T): T => device.unscoped(make);
    this.#shifts = unscoped(() =>
      whole ? whole.#shifts.rows(0, sequences) : device.empty([sequences, capacity, 1], 'int32'),
    );
    this.rotaryPositions = unscoped(() =>
      whole ? whole.rotaryPositions.rows(0, sequences) : device.empty([sequences], 'int32'),
    );
    this.#firsts = unscoped(() => device.tensor(firsts));
    this.#zero = unscoped(() => device.tensor(Int32Array.of(0)));
    this.#one = unscoped(() => device.tensor(Int32Array.of(1)));
    if (!whole) this.clear();
  }

  get tensors(): readonly Tensor[] {
    return [this.#shifts, this.rotaryPositions, this.#firsts, this.#zero, this.#one];
  }

  /** Forgets all shifts. */
  clear(): void {
    clear(this.#shifts);
    clear(this.rotaryPositions);
  }

  /** Sets `rotaryPositions` for new text tokens at `positions`, int32 [sequences]. */
  setPositions(positions: Tensor): void {
    const { size } = positions;
    positions.device.scope(() => {
      const before = maximum(sub(positions, this.#one), this.#zero);
      const shifts = gather(this.#shifts.reshape(-1), add(before, this.#firsts));
      cacheAppend(this.#shifts, shifts.reshape(size, 1), positions);
      const rotaryPositions = add(positions, shifts).reshape(size, 1);
      cacheWrite(this.rotaryPositions.reshape(1, size, 1), rotaryPositions, { row: 0, slot: 0 });
    });
  }

  /** Returns int32 [1]: the shift of a text token at index `start` of a sequence. */
  at(sequence: number, start: number): Tensor {
    if (start === 0) return this.#zero;
    const shifts = this.#shifts.rows(sequence, sequence + 1).reshape(-1);
    return shifts.columns(start - 1, start);
  }

  /** Sets the shifts after tokens from `start` on, int32 [count]. */
  write(sequence: number, start: number, shifts: Tensor): void {
    cacheWrite(this.#shifts, shifts.reshape(-1, 1), { row: sequence, slot: start });
  }

  /** See `DecoderState.reorder`. */
  reorder(order: Tensor, lengths: Tensor): void {
    cacheReorder(this.#shifts, order, lengths);
  }

  /** See `DecoderState.copySequence`. */
  copy(to: number, source: PositionShifts, from: number, length: number): void {
    cacheCopy(this.#shifts, to, source.#shifts, from, [0, length]);
  }
}
