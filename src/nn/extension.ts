// What some sequences of a decoder's state read after what they have.

import type { Tensor } from '../core/tensor.js';

/** So many tokens of one sequence. */
export interface ExtendedSequence {
  /** Its number in the state. */
  readonly sequence: number;
  /** How many tokens it has before them. */
  readonly start: number;
  readonly count: number;
}

/** The new tokens of one or more sequences, end to end. */
export interface Extension {
  /** int32 [N]: where each token stands in its sequence. */
  readonly positions: Tensor;
  readonly parts: readonly ExtendedSequence[];
  /**
   * Whether results have the bits of one step after the other, which rounds the sums of attention in another order than
   * the pass over many tokens that is the faster one for them.
   */
  readonly asSteps: boolean;
}
