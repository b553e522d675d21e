import { checkNumber, checkOptions, checkSizes, isPositive } from '../core/check.js';
import type { Tensor } from '../core/tensor.js';
import { mul } from '../ops/binary.js';
import { gather } from '../ops/move.js';
import { checkInitializer, type Initializer } from './init.js';
import { Module } from './module.js';

export interface QueryScaleOptions {
  /** Factor of the logarithm in the formula. */
  readonly beta: number;
  /** Number of consecutive positions that have the same factor. */
  readonly interval: number;
  /** Upper limit of positions. */
  readonly maxLength: number;
}

const kinds = { beta: 'positive', interval: 'count', maxLength: 'count' } as const;

/**
 * Multiplies the query at position p by 1 + beta · ln(1 + ⌊p / interval⌋), as in Llama 4. Without it, the softmax over
 * more and more keys becomes flatter. It has no parameters.
 */
export class QueryScale extends Module {
  /** float32 [maxLength, 1], a constant. */
  readonly #factors: Tensor;

  /** Throws ArgumentError for options that are missing or out of range, OutOfMemoryError. */
  constructor(init: Initializer, options: QueryScaleOptions) {
    super();
    checkInitializer('QueryScale', init);
    const { beta, interval, maxLength } = checkOptions('QueryScale', options, kinds);
    checkSizes('QueryScale', { interval, maxLength }, 1);
    checkNumber('QueryScale', 'beta', beta, isPositive, 'a positive number');
    const factor = (p: number) => 1 + beta * Math.log1p(Math.floor(p / interval));
    const factors = (first: number, count: number) => Float32Array.from({ length: count }, (_, i) => factor(first + i));
    this.#factors = init.table(maxLength, 1, factors);
  }

  /** `q` and the result: float32 [N, features] at `positions`, int32 [N]. Throws ShapeError, DTypeError. */
  forward(q: Tensor, positions: Tensor): Tensor {
    return mul(q, gather(this.#factors, positions));
  }

  protected override release(): void {
    super.release();
    this.#factors.dispose();
  }
}
