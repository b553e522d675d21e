import type { Tensor } from '../core/tensor.js';

/** Source of guesses. */
export interface Drafter {
  /** Guesses up to `most` tokens after `context`. Returns [] if it has no guess. */
  propose(context: readonly number[], most: number): number[] | Promise<number[]>;
  /** Tells the drafter how many of the latest guesses were accepted. */
  learn(proposed: number, accepted: number): void;
  /**
   * Receives the features of tokens that the model has read, float32 [N, dModel]. `start` is the position of the first
   * one. The drafter keeps what it needs. Default: they are not needed.
   */
  observe?(start: number, features: Tensor): void;
  /** Frees its memory. Default: it has none. */
  dispose?(): void;
}
