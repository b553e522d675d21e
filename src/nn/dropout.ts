import { describeValue } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { Scalar } from '../core/operand.js';
import type { Tensor } from '../core/tensor.js';
import { relu } from '../ops/activation.js';
import { add, mul, sub } from '../ops/binary.js';
import { checkDropping, type DropoutOptions, dropout } from '../ops/dropout.js';
import { gather } from '../ops/move.js';
import { Module } from './module.js';
import type { Sequences } from './sequences.js';

/** Source of random numbers that all dropouts of a model share. */
export interface Randomness {
  /**
   * Seed of the current forward pass: an unsigned 32-bit integer, or a Scalar in a recorded program. Set a new one
   * before each training pass; otherwise every pass drops the same elements.
   */
  seed: Scalar | number;
  /**
   * Starts at 0. Each new dropout takes this number as its stream and increments it, so that no two drop the same
   * elements.
   */
  streams: number;
}

/**
 * Dropout. In training it sets each element to 0 with probability p and scales the others by 1/(1-p). In evaluation it
 * does nothing.
 */
export class Dropout extends Module {
  readonly #stream: number;

  /** `p` is from 0, which drops nothing, to 1. Throws ArgumentError for other values. */
  constructor(
    private readonly p: number,
    private readonly randomness: Randomness,
  ) {
    super();
    checkDropping('Dropout', { p, seed: 0 });
    if (typeof randomness?.streams !== 'number')
      throw new ArgumentError(
        `Dropout: randomness is ${describeValue(randomness)}, expected { seed: 0, streams: 0 }, one object for all dropouts of a model`,
      );
    this.#stream = randomness.streams++;
  }

  /** Current options of the op `dropout`; null if nothing is dropped. */
  get options(): DropoutOptions | null {
    if (!this.training || this.p === 0) return null;
    return { p: this.p, seed: this.randomness.seed, stream: this.#stream };
  }

  /**
   * `x` is float32 of any shape; the result has the same shape. It is `x` itself if nothing is dropped. Throws
   * DTypeError.
   */
  forward(x: Tensor, _batch?: Sequences): Tensor {
    const { options } = this;
    return options ? dropout(x, options) : x;
  }
}

/**
 * Stochastic depth (Huang et al. 2016, arXiv 1603.09382): drops or keeps a residual branch for a sequence as a whole.
 */
export class DropPath extends Dropout {
  /** `x` is float32 [N, features], the rows of `batch`; without a batch, each row is a sequence. Throws DTypeError. */
  override forward(x: Tensor, batch?: Sequences): Tensor {
    const { options } = this;
    if (options === null) return x;
    const { device } = x;
    const factors = dropout(device.full([batch?.size ?? (x.shape[0] as number), 1], 1), options);
    if (batch === undefined) return mul(x, factors);
    const sequences = batch.counts.flatMap((count, i) => Array<number>(count).fill(i));
    return mul(x, gather(factors, device.tensor(Int32Array.from(sequences))));
  }
}

/** LayerDrop (Fan et al. 2019, arXiv 1909.11556): skips a layer with probability p in training. */
export class LayerDrop extends Dropout {
  /** Returns `y`, the layer's output for `x`, or `x` itself. Both are float32 [N, features]. */
  choose(x: Tensor, y: Tensor): Tensor {
    const { options } = this;
    if (options === null) return y;
    const ones = x.device.full([1, 1], 1);
    const factor = dropout(ones, options); // 0, or 1 / (1 − p)
    const isLeftOut = relu(sub(ones, factor));
    return add(mul(y, sub(ones, isLeftOut)), mul(x, isLeftOut));
  }
}
