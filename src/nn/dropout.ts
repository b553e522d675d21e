import type { Scalar } from '../core/operand.js';
import type { Tensor } from '../core/tensor.js';
import { checkDropping, type DropoutOptions, dropout } from '../ops/dropout.js';
import { Module } from './module.js';

/** What the dropouts of a model share: one object, given to each of them. */
export interface Randomness {
  /**
   * Of the forward pass under way: an unsigned 32-bit integer, or a Scalar in a recorded program. Set a new one before
   * each training pass, or every pass drops the same places.
   */
  seed: Scalar | number;
  /**
   * Begin with 0. Each dropout that is made counts it up and has the number as a stream of its own, so that no two drop
   * the same places.
   */
  streams: number;
}

/** In training sets each element to 0 with probability p and scales the others by 1/(1-p); otherwise does nothing. */
export class Dropout extends Module {
  readonly #stream: number;

  /** `p`: from 0, which drops nothing, to 1. Throws ArgumentError for others. */
  constructor(
    private readonly p: number,
    private readonly randomness: Randomness,
  ) {
    super();
    checkDropping('Dropout', { p, seed: 0 });
    this.#stream = randomness.streams++;
  }

  /** What it does at the moment; null if nothing. */
  get options(): DropoutOptions | null {
    if (!this.training || this.p === 0) return null;
    return { p: this.p, seed: this.randomness.seed, stream: this.#stream };
  }

  /** `x`: float32, any shape, which the result has, too: `x` itself where nothing is dropped. Throws DTypeError. */
  forward(x: Tensor): Tensor {
    const { options } = this;
    return options ? dropout(x, options) : x;
  }
}
