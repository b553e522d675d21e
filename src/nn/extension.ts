// Extensions: several new tokens that are appended to some sequences of a decoder's state in one pass.

import type { Tensor } from '../core/tensor.js';
import type { ImageEffects } from './image-effects.js';

/** The new tokens of one sequence. */
export interface ExtendedSequence {
  /** Index in the state. */
  readonly sequence: number;
  /** Number of earlier tokens. */
  readonly start: number;
  readonly count: number;
}

/**
 * Slots of recurrent states. Each piece of a sequence reads the state before it from one slot, and writes the state
 * after it to another.
 */
export interface StateSlots {
  /** Number of rows of each piece; null if each row is a piece. The pieces of a sequence are in order. */
  readonly counts: readonly number[] | null;
  /** int32 [pieces]: `counts` on the device. */
  readonly lengths: Tensor | null;
  /**
   * int32 [pieces]: slot to read, an index over all sequences. -1 for the beginning of a sequence, whose state is zero.
   */
  readonly from: Tensor;
  /** int32 [pieces]: slot to write. -1 if the state is not kept. */
  readonly to: Tensor;
}

/** The new tokens of one or more sequences, end to end. */
export interface Extension {
  /** int32 [N]: position of each token in its sequence. */
  readonly positions: Tensor;
  readonly parts: readonly ExtendedSequence[];
  /**
   * True if results must be bit-identical to those of single steps. One pass over many tokens is faster, but adds the
   * sums of attention in another order.
   */
  readonly asSteps: boolean;
  /** Slots of recurrent states. Undefined if no layer has them. */
  readonly stateSlots?: StateSlots | undefined;
  /**
   * Length of the prompts to which the tokens belong. Default: the tokens are generated; see
   * `RotateOptions.incremental`.
   */
  readonly promptLength?: number | undefined;
  /** Images among the new tokens. Default: none. */
  readonly imageEffects?: ImageEffects | null | undefined;
}
