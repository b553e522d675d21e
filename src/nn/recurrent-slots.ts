// Decides at which lengths of a sequence recurrent states are kept. All layers keep their states at the same lengths.
//
// A recurrent state summarizes all tokens before it, so the last ones cannot be removed from it. Therefore copies are
// kept. A ring of slots has the states at the latest lengths, so that steps that ran too far can be undone. Checkpoints
// have states at regular intervals, so that texts with an equal beginning share them and a conversation can go back.
// The slot depends only on the length, so a sequence has the same slots in all states of a model.

import type { Device } from '../core/device.js';
import type { Tensor } from '../core/tensor.js';
import { cacheCopy, cacheReorder } from '../ops/kv-cache.js';
import { stateSlots } from '../ops/state-slots.js';
import type { ExtendedSequence, StateSlots } from './extension.js';

/** Maximum words of the ring, unless it has one slot. */
const RING_WORDS = 2 ** 24;
/** Maximum slots of the ring: a speculative step reads one token and up to 16 draft tokens. */
const MAX_RECENT = 17;
/** Approximate words of checkpoints per token, which decides their spacing. */
const WORDS_PER_TOKEN = 2 ** 14;
const MIN_SPACING = 64;

export interface SlotSizes {
  readonly sequences: number;
  /** Maximum number of tokens of a sequence. */
  readonly capacity: number;
  /** Words of the states of all layers at one length. */
  readonly stateWords: number;
}

/** The slots of a state that keep recurrent states at earlier lengths. */
export class RecurrentSlots {
  /** Number of slots of a sequence. */
  readonly count: number;
  /** Number of latest lengths whose states are kept. */
  readonly ring: number;
  /** Tokens between checkpoints. */
  readonly #spacing: number;
  /** int32 [sequences, slots, 1]: the length of the state in each slot. */
  readonly #tags: Tensor;
  readonly stateSlots: StateSlots;
  readonly tensors: readonly Tensor[];
  /** int32 [sequences]: the number of slots, for `cacheReorder`. */
  readonly #counts: Tensor;

  /** With `whole`, the new object shares the memory of its first sequences. */
  constructor(
    private readonly device: Device,
    { sequences, capacity, stateWords }: SlotSizes,
    whole: RecurrentSlots | null,
  ) {
    this.ring = Math.max(1, Math.min(MAX_RECENT, Math.floor(RING_WORDS / stateWords)));
    this.#spacing = Math.max(MIN_SPACING, 2 ** Math.ceil(Math.log2(stateWords / WORDS_PER_TOKEN)));
    this.count = this.ring + Math.floor(capacity / this.#spacing);
    const tensors = device.unscoped(() =>
      device.scope(() => [
        whole ? whole.#tags.rows(0, sequences) : device.full([sequences, this.count, 1], -1, 'int32'),
        whole ? whole.#counts.rows(0, sequences) : device.full([sequences], this.count, 'int32'),
        device.full([sequences], -1, 'int32'),
        device.full([sequences], -1, 'int32'),
      ]),
    ) as [Tensor, Tensor, Tensor, Tensor];
    this.tensors = tensors;
    const [tags, counts, from, to] = tensors;
    this.#tags = tags;
    this.#counts = counts;
    this.stateSlots = { counts: null, lengths: null, from, to };
  }

  /** Returns the length of the last checkpoint up to `length`; 0 if there is none. */
  checkpointUpTo(length: number): number {
    return length - (length % this.#spacing);
  }

  #slotOf(length: number): number {
    const isCheckpoint = length % this.#spacing === 0;
    return isCheckpoint ? this.ring + length / this.#spacing - 1 : length % this.ring;
  }

  /**
   * Sets `stateSlots` for a step in which the newest tokens are at `positions`. Sequences whose `lengths` do not fit
   * are idle.
   */
  setPositions(positions: Tensor, lengths: Tensor): void {
    const { ring, stateSlots: slots, device } = this;
    device.scope(() => stateSlots(this.#tags, { ring, spacing: this.#spacing, positions, ends: lengths, ...slots }));
  }

  /** Cuts new tokens into pieces at the lengths at which states are kept. With `asSteps`, these are all lengths. */
  slotsFor(parts: readonly ExtendedSequence[], asSteps: boolean): StateSlots {
    const { ring, device } = this;
    const spacing = this.#spacing;
    const pieces = parts.flatMap(({ sequence, start, count }) => {
      const steps: ExtendedSequence[] = [];
      const end = start + count;
      for (let position = start; position < end; ) {
        const next = asSteps ? position + 1 : Math.min(end, this.checkpointUpTo(position) + spacing);
        steps.push({ sequence, start: position, count: next - position });
        position = next;
      }
      return steps;
    });
    const upload = (of: (piece: ExtendedSequence) => number) => device.tensor(Int32Array.from(pieces, of));
    const lengths = upload(({ count }) => count);
    const slots = { from: upload(() => -1), to: upload(() => -1) };
    stateSlots(this.#tags, {
      ring,
      spacing,
      ...slots,
      sequences: upload(({ sequence }) => sequence),
      positions: upload(({ start }) => start),
      ends: upload(({ start, count }) => start + count),
    });
    return { counts: pieces.map(({ count }) => count), lengths, ...slots };
  }

  /** `DecoderState.reorder` for one cache. */
  reorder(memory: Tensor, order: Tensor): void {
    cacheReorder(memory, order, this.#counts);
  }

  reorderTags(order: Tensor): void {
    this.reorder(this.#tags, order);
  }

  /** `DecoderState.copySequence` for one cache: the state at `length` and the checkpoints before it. */
  copy(memory: Tensor, to: number, source: Tensor, from: number, length: number): void {
    const slot = this.#slotOf(length);
    const checkpoints = this.checkpointUpTo(length) / this.#spacing;
    if (slot < this.ring) cacheCopy(memory, to, source, from, [slot, slot + 1]);
    if (checkpoints > 0) cacheCopy(memory, to, source, from, [this.ring, this.ring + checkpoints]);
  }

  copyTags(to: number, { tensors: [tags] }: RecurrentSlots, from: number, length: number): void {
    this.copy(this.#tags, to, tags as Tensor, from, length);
  }
}
