import type { Tensor } from '../core/tensor.js';
import type { DecoderState } from '../nn/decoder-state.js';

/** Drafts tokens for speculative decoding. */
export interface Drafter {
  /**
   * Drafts up to `max` tokens after `context`. `state` is the model's, which has read all of `context` but the last
   * token. Returns [] if it has no draft.
   */
  propose(context: readonly number[], max: number, state: DecoderState): number[] | Promise<number[]>;
  /** Tells the drafter how many tokens of the latest draft were accepted. */
  recordAccepted(proposed: number, accepted: number): void;
  /**
   * Receives the features of tokens that the model has read, float32 [N, dModel]. `start` is the position of the first
   * one. The drafter keeps what it needs. Default: they are not needed.
   */
  observe?(start: number, features: Tensor): void;
  /** Frees its memory. Default: it has none. */
  dispose?(): void;
}
