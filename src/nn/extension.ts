// New tokens of some sequences of a decoder's state, appended to those they have.

import type { Tensor } from '../core/tensor.js';
import type { Inserted } from './inserted.js';

/** The new tokens of one sequence. */
export interface ExtendedSequence {
  /** Index in the state. */
  readonly sequence: number;
  /** Number of earlier tokens. */
  readonly start: number;
  readonly count: number;
}

/** Places at which pieces of sequences read the state before them, and write the state after them. */
export interface StatePlaces {
  /** The rows of each piece; null if each row is a piece. The pieces of a sequence are in order. */
  readonly counts: readonly number[] | null;
  /** int32 [pieces]: as `counts`. */
  readonly lengths: Tensor | null;
  /** int32 [pieces]: a slot among those of all sequences; -1 for a beginning, whose state is zero. */
  readonly from: Tensor;
  /** int32 [pieces]: -1 if the state is not kept. */
  readonly to: Tensor;
}

/** The new tokens of one or more sequences, end to end. */
export interface Extension {
  /** int32 [N]: position of each token in its sequence. */
  readonly positions: Tensor;
  readonly parts: readonly ExtendedSequence[];
  /**
   * True if results must have the bits of single steps. One pass over many tokens is faster, but adds the sums of
   * attention in another order.
   */
  readonly asSteps: boolean;
  /** Places of recurrent states, if layers have them. */
  readonly places?: StatePlaces | undefined;
  /** Images among the new tokens. Default: none. */
  readonly inserted?: Inserted | null | undefined;
}
