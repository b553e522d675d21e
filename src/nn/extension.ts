// New tokens of some sequences of a decoder's state, after those that they have.

import type { Tensor } from '../core/tensor.js';

/** So many tokens of one sequence. */
export interface ExtendedSequence {
  /** Its number in the state. */
  readonly sequence: number;
  /** The number of tokens before them. */
  readonly start: number;
  readonly count: number;
}

/** The new tokens of one or more sequences, end to end. */
export interface Extension {
  /** int32 [N]: where each token stands in its sequence. */
  readonly positions: Tensor;
  readonly parts: readonly ExtendedSequence[];
  /**
   * True if results have the bits of one step after the other. One pass over many tokens is faster, but rounds the sums
   * of attention in another order.
   */
  readonly asSteps: boolean;
}
