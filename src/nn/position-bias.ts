// Biases of self-attention by the distance from a query to a key.

import { checkNumber, checkOneOf, checkOptions, checkSizes, isCount } from '../core/check.js';
import type { Tensor } from '../core/tensor.js';
import { gather, transpose } from '../ops/move.js';
import { checkInitializer, type Initializer } from './init.js';
import { Module } from './module.js';

/** Biases of the scores of self-attention. */
export abstract class PositionBias extends Module {
  /**
   * Returns float32 [heads, 2·M + 1], for the distances -M … M from query to key. Larger distances use the first or
   * last column.
   */
  abstract table(): Tensor;
}

/** A trained number for each head and distance. */
export class DistanceBias extends PositionBias {
  /** [heads, 2·maxDistance + 1] */
  readonly weight: Tensor;

  constructor(init: Initializer, heads: number, maxDistance: number) {
    super();
    checkInitializer('DistanceBias', init);
    checkSizes('DistanceBias', { heads, maxDistance }, 1);
    this.weight = init.constant([heads, 2 * maxDistance + 1], 0);
  }

  table(): Tensor {
    return this.weight;
  }
}

export interface BucketBiasOptions {
  readonly heads: number;
  /** Number of buckets, an even number. */
  readonly buckets: number;
  /** Distances from this one on share the last bucket. Above buckets/4, or buckets/2 if not bidirectional. */
  readonly maxDistance: number;
  /**
   * If true, half of the buckets are for later keys. If false, later keys share the bucket of distance 0, because a
   * decoder never attends to them.
   */
  readonly bidirectional: boolean;
  /** Rows of the table, at least the number of buckets. Further rows are unused. Default: `buckets`. */
  readonly rows?: number | undefined;
}

const bucketBiasKinds = {
  // The constructor checks the values, because most options are required.
  heads: 'any',
  buckets: 'any',
  maxDistance: 'any',
  bidirectional: 'any',
  rows: 'any',
} as const;

/**
 * A trained number for each head and bucket of distances (T5, Raffel et al. 2020, arXiv 1910.10683). Each short
 * distance has its own bucket; longer distances share wider and wider buckets. All layers of a stack share the module.
 */
export class BucketBias extends PositionBias {
  /** [rows, heads] */
  readonly weight: Tensor;
  /** int32 [2·maxDistance + 1]: the bucket of each distance. */
  readonly buckets: Tensor;

  /** Throws ArgumentError for invalid options. */
  constructor(init: Initializer, options: BucketBiasOptions) {
    super();
    checkInitializer('BucketBias', init);
    const {
      heads,
      buckets,
      maxDistance,
      bidirectional,
      rows = buckets,
    } = checkOptions('BucketBias', options, bucketBiasKinds);
    checkSizes('BucketBias', { heads, buckets, maxDistance }, 1);
    checkOneOf('BucketBias', 'bidirectional', bidirectional, [true, false]);
    checkNumber('BucketBias', 'buckets', buckets, (n) => isCount(n) && n % 2 === 0, 'an even number');
    // Distances up to this one have buckets of their own.
    const exact = Math.floor(buckets / (bidirectional ? 4 : 2));
    const isLonger = (n: number) => n > exact;
    checkNumber('BucketBias', 'maxDistance', maxDistance, isLonger, `a number above ${exact}, with ${buckets} buckets`);
    checkNumber('BucketBias', 'rows', rows, (n) => isCount(n) && n >= buckets, `a number from ${buckets} on`);
    this.weight = init.normal([rows, heads], buckets ** -0.5);
    this.buckets = init.constants(
      Int32Array.from({ length: 2 * maxDistance + 1 }, (_, i) =>
        bucketOf(i - maxDistance, buckets, maxDistance, bidirectional),
      ),
    );
  }

  table(): Tensor {
    return transpose(gather(this.weight, this.buckets)); // [heads, 2·maxDistance + 1]
  }

  protected override release(): void {
    super.release();
    this.buckets.dispose();
  }
}

/**
 * Returns the bucket of a distance, key minus query. Intermediate values are rounded to float32 where the reference
 * implementation does so.
 */
export function bucketOf(distance: number, buckets: number, maxDistance: number, bidirectional: boolean): number {
  const half = bidirectional ? buckets / 2 : buckets;
  const first = bidirectional && distance > 0 ? half : 0;
  const length = bidirectional ? Math.abs(distance) : Math.max(0, -distance);
  const exact = Math.floor(half / 2);
  if (length < exact) return first + length;
  const log = Math.fround(Math.log(Math.fround(length / exact)));
  const share = Math.fround(Math.fround(log / Math.log(maxDistance / exact)) * (half - exact));
  return first + Math.min(half - 1, exact + Math.trunc(share));
}

/**
 * Scores that fall linearly with the distance, with one slope per head (ALiBi, Press, Smith, Lewis 2022, arXiv
 * 2108.12409). It has no parameters.
 */
export class LinearBias extends PositionBias {
  readonly #table: Tensor;

  /**
   * `maxLength` is an upper limit of distances. `scale` multiplies all slopes; default 1. The smallest slope is
   * scale · 2^-maxExponent; default 8. Throws ArgumentError, OutOfMemoryError.
   */
  constructor(init: Initializer, heads: number, maxLength: number, scale = 1, maxExponent = 8) {
    super();
    checkInitializer('LinearBias', init);
    checkSizes('LinearBias', { heads, maxLength }, 1);
    checkNumber('LinearBias', 'scale', scale, Number.isFinite, 'a number');
    checkNumber('LinearBias', 'maxExponent', maxExponent, Number.isFinite, 'a number');
    const slopes = slopesOf(heads, maxExponent);
    const width = 2 * maxLength - 1;
    this.#table = init.table(heads, width, (first, count) =>
      Float32Array.from({ length: count * width }, (_, i) => {
        const distance = Math.abs((i % width) - (maxLength - 1));
        return -scale * (slopes[first + Math.floor(i / width)] as number) * distance;
      }),
    );
  }

  table(): Tensor {
    return this.#table;
  }

  protected override release(): void {
    super.release();
    this.#table.dispose();
  }
}

/**
 * Returns the slope of each head. Up to the largest power of 2, slopes form a geometric series. The remaining heads
 * take every second slope of the series for twice as many heads.
 */
function slopesOf(heads: number, maxExponent: number): number[] {
  const power = 2 ** Math.floor(Math.log2(heads));
  const series = (count: number) => Array.from({ length: count }, (_, i) => 2 ** ((-maxExponent / count) * (i + 1)));
  const rest = series(2 * power).filter((_, i) => i % 2 === 0);
  return [...series(power), ...rest.slice(0, heads - power)];
}

/**
 * Vectors of the distances −M … M from query to key, which are added to keys and values. Larger distances use the first
 * or last row.
 */
export interface DistanceTables extends Module {
  /** [2·M + 1, headSize], or null. */
  readonly keys: Tensor | null;
  readonly values: Tensor | null;
}

/**
 * Trained vectors of distances, which are added to keys and values (Shaw, Uszkoreit, Vaswani 2018, arXiv 1803.02155).
 */
export class RelativeVectors extends Module implements DistanceTables {
  /** `keys` and `values`: float32 [2·maxDistance + 1, headSize]. */
  readonly keys: Tensor;
  readonly values: Tensor;

  constructor(init: Initializer, headSize: number, maxDistance: number) {
    super();
    checkInitializer('RelativeVectors', init);
    checkSizes('RelativeVectors', { headSize, maxDistance }, 1);
    this.keys = init.xavierUniform(2 * maxDistance + 1, headSize);
    this.values = init.xavierUniform(2 * maxDistance + 1, headSize);
  }
}
