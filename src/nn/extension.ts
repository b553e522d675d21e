// New tokens of some sequences of a decoder's state, appended to those they have.

import type { Tensor } from '../core/tensor.js';

/** The new tokens of one sequence. */
export interface ExtendedSequence {
  /** Index in the state. */
  readonly sequence: number;
  /** Number of earlier tokens. */
  readonly start: number;
  readonly count: number;
}

/** New tokens of one or more sequences, end to end. */
export interface Extension {
  /** int32 [N]: position of each token in its sequence. */
  readonly positions: Tensor;
  readonly parts: readonly ExtendedSequence[];
  /**
   * True if results must have the bits of single steps. One pass over many tokens is faster, but adds the sums of
   * attention in another order.
   */
  readonly asSteps: boolean;
}
