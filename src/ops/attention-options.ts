// What attention and attentionWeights can be told, and what values that may be.

import { isInt32, type OptionKind, orNull } from '../core/check.js';
import type { Tensor } from '../core/tensor.js';
import type { DropoutOptions } from './dropout.js';
import { CACHE_TYPES, type CacheType } from './kv-cache.js';

/**
 * How much of each item of a batch takes part: integers, or an int32 tensor [B] whose values are checked when they are
 * used.
 */
export type Lengths = readonly number[] | Int32Array | Tensor;

/**
 * Scores are s = scale · q kᵀ; with a soft cap, softcap · tanh(s / softcap); then + bias + relativeBias, and −∞ where
 * the mask is 0 or a key is out of sight by causality or the window. That is the order of ONNX's Attention from version
 * 24 on, and of Gemma 2.
 */
export interface AttentionOptions {
  /** Heads of q. Default 1. */
  heads?: number | undefined;
  /** Heads of k and v; each serves heads / kvHeads heads of q (grouped-query attention). Default: `heads`. */
  kvHeads?: number | undefined;
  /**
   * A query sees no key after its own position. true and 'lower-right': the last query stands at the last key of its
   * item; 'upper-left': the first query at the first key (PyTorch's `is_causal` and its names). Default false.
   */
  causal?: boolean | 'lower-right' | 'upper-left' | undefined;
  /**
   * [left, right]: a query at position p sees keys p − left to p + right; −1 is no limit. Without `causal` the last
   * query stands at the last key (flash-attention's `window_size`); with it there is none to the right. Cost is
   * proportional to the window. Default [-1, -1].
   */
  window?: readonly [left: number, right: number] | null | undefined;
  /**
   * The position among the keys of the first query, for all items, if it is not what `causal` and `window` say (0
   * without either): −2³¹ to 2³¹ − 1.
   */
  offset?: number | undefined;
  /** Holds scores within ±softcap, by softcap · tanh(s / softcap) (Gemma 2, arXiv 2408.00118). Default: none. */
  softcap?: number | null | undefined;
  /** Padded: the queries of each item that count (default all). Packed: how many rows each item has. */
  lengthsQ?: Lengths | null | undefined;
  /** The same for keys. Default, packed: lengthsQ; padded: all. */
  lengthsK?: Lengths | null | undefined;
  /**
   * Added to the scores: float32 [B | 1, heads | 1, Tq | 1, Tk | 1], or the last one to three of these dimensions.
   * Packed: Tq and Tk the longest.
   */
  bias?: Tensor | null | undefined;
  /** int32 of the same shapes: a query may attend to a key where it is not 0. */
  mask?: Tensor | null | undefined;
  /**
   * [heads, 2M + 1], added to the scores by clipped distance: entry clip(j - p, ±M) + M for key j and a query at
   * position p. Queries count from 0 unless `causal`, `window` or `offset` say otherwise.
   */
  relativeBias?: Tensor | null | undefined;
  /**
   * [2M + 1, d], shared by the heads: key j of a query at p is k[j] + relativeKeys[clip(j - p, ±M) + M] (Shaw,
   * Uszkoreit, Vaswani 2018, arXiv 1803.02155). Distances as for relativeBias. Costs 2M + 1 floats for each row and head.
   */
  relativeKeys?: Tensor | null | undefined;
  /** What products are multiplied by. Default 1 / √(width of a head). */
  scale?: number | undefined;
}

export interface AttentionValueOptions extends AttentionOptions {
  /** [2M + 1, dv], as relativeKeys (and as many, if both are given): value j of query p is v[j] + relativeValues[…]. */
  relativeValues?: Tensor | null | undefined;
  /** Drops probabilities, as `dropout` does; the bits depend on the row of q, the head and the key. Default: none. */
  dropout?: DropoutOptions | null | undefined;
  /**
   * What k and v are: the halves of a key–value cache's columns. If they are packed, int32 [B, T, kvHeads · cacheWords],
   * they are read so, without gradients, and their heads are as wide as q's. Default 'float32': as above.
   */
  cache?: CacheType | undefined;
}

const STAGES = ['raw', 'capped', 'biased', 'softmax'] as const;

export interface AttentionWeightsOptions extends AttentionOptions {
  /**
   * After which step: 'raw' scale · q kᵀ and 'capped' of every query and key, 0 past their lengths; 'biased' with
   * biases, −∞ where a query does not see a key; 'softmax' the probabilities, 0 there. ONNX's `qk_matmul_output_mode` 0 to
   * 3. Default 'softmax'.
   */
  stage?: (typeof STAGES)[number] | undefined;
}

/** What kernels call a stage. */
export const stageNumber = (stage: NonNullable<AttentionWeightsOptions['stage']>): number => STAGES.indexOf(stage);

const isBound = (value: unknown) => typeof value === 'number' && isInt32(value) && value >= -1;
const WINDOW = {
  accepts: (value: unknown) => Array.isArray(value) && value.length === 2 && value.every(isBound),
  expected: '[left, right], integers from -1 to 2³¹ − 1',
};
const OFFSET = {
  accepts: (value: unknown) => typeof value === 'number' && isInt32(value),
  expected: 'an integer from -2³¹ to 2³¹ − 1',
};
const TENSOR = orNull('tensor');

type Kinds<Options> = { readonly [Name in keyof Options]-?: OptionKind };

const SCORES: Kinds<AttentionOptions> = {
  heads: 'count',
  kvHeads: 'count',
  causal: [true, false, 'lower-right', 'upper-left'],
  window: orNull(WINDOW),
  offset: OFFSET,
  softcap: orNull('positive'),
  lengthsQ: 'any',
  lengthsK: 'any',
  bias: TENSOR,
  mask: TENSOR,
  relativeBias: TENSOR,
  relativeKeys: TENSOR,
  scale: 'number',
};
export const ATTENTION_KINDS: Kinds<AttentionValueOptions> = {
  ...SCORES,
  relativeValues: TENSOR,
  dropout: orNull('object'),
  cache: CACHE_TYPES,
};
export const WEIGHTS_KINDS: Kinds<AttentionWeightsOptions> = { ...SCORES, stage: STAGES };
