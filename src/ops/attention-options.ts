// Options of attention and attentionWeights, and their allowed values.

import { isInt32, type OptionKind, orNull } from '../core/check.js';
import type { Tensor } from '../core/tensor.js';
import type { DropoutOptions } from './dropout.js';
import { CACHE_TYPES, type CacheType } from './kv-cache.js';

/** Number of rows of each item that take part: integers, or an int32 tensor [B], whose values the kernel checks. */
export type Lengths = readonly number[] | Int32Array | Tensor;

/**
 * Scores are s = scale · q kᵀ. With a soft cap they become softcap · tanh(s / softcap). Then bias and relativeBias are
 * added. A score is −∞ where the mask is 0, or where causality or the window hides the key. ONNX's Attention from
 * version 24 on and Gemma 2 use the same order.
 */
export interface AttentionOptions {
  /** Number of heads of q. Default: 1. */
  heads?: number | undefined;
  /** Number of heads of k and v. Each serves heads / kvHeads heads of q (grouped-query attention). Default: `heads`. */
  kvHeads?: number | undefined;
  /**
   * Hides keys after a query's own position. true and 'lower-right': the last query has the position of the last key of
   * its item. 'upper-left': the first query has the position of the first key (PyTorch's `is_causal`, which also gives
   * the names). Default: false.
   */
  causal?: boolean | 'lower-right' | 'upper-left' | undefined;
  /**
   * `[left, right]`: a query at position p attends to keys p − left to p + right; −1 means no limit. Without `causal`,
   * the last query has the position of the last key (flash-attention's `window_size`). With `causal`, there are no keys
   * to the right. The cost is proportional to the window. Default: [-1, -1].
   */
  window?: readonly [left: number, right: number] | null | undefined;
  /**
   * The position of the first query among the keys, for all items: −2³¹ to 2³¹ − 1. Default: follows from `causal` and
   * `window` (0 without either).
   */
  offset?: number | undefined;
  /** Limits scores to ±softcap, by softcap · tanh(s / softcap) (Gemma 2, arXiv 2408.00118). Default: none. */
  softcap?: number | null | undefined;
  /**
   * Padded: the number of queries of each item that take part (default: all). Packed: the number of rows of each item.
   */
  lengthsQ?: Lengths | null | undefined;
  /** The number of keys, like `lengthsQ`. Default: lengthsQ if packed, all if padded. */
  lengthsK?: Lengths | null | undefined;
  /**
   * Added to the scores: float32 [B | 1, heads | 1, Tq | 1, Tk | 1], or the last one to three of these dimensions.
   * Packed: Tq and Tk are those of the longest items.
   */
  bias?: Tensor | null | undefined;
  /** int32 of the same shapes. A query may attend to a key if the mask is not 0. Default: no mask. */
  mask?: Tensor | null | undefined;
  /**
   * [heads, 2M + 1], added to the scores by clipped distance: entry clip(j - p, ±M) + M for key j and a query at
   * position p. Positions of queries start at 0 unless `causal`, `window` or `offset` define them otherwise.
   */
  relativeBias?: Tensor | null | undefined;
  /**
   * [2M + 1, d], shared by the heads. Key j of a query at p is k[j] + relativeKeys[clip(j - p, ±M) + M] (Shaw,
   * Uszkoreit, Vaswani 2018, arXiv 1803.02155). Distances are as for relativeBias. Costs 2M + 1 floats for each row and
   * head.
   */
  relativeKeys?: Tensor | null | undefined;
  /** Factor of the products. Default: 1 / √(width of a head). */
  scale?: number | undefined;
}

export interface AttentionValueOptions extends AttentionOptions {
  /**
   * [2M + 1, dv], with as many rows as relativeKeys if both are given. Value j of query p is v[j] + relativeValues[…].
   */
  relativeValues?: Tensor | null | undefined;
  /**
   * float32 [heads]: a score for each head that is part of the softmax's sum, but has no value (gpt-oss). It cannot be
   * combined with relativeKeys or relativeValues. Default: none.
   */
  sinks?: Tensor | null | undefined;
  /** Drops probabilities, like `dropout`. The bits depend on the row of q, the head and the key. Default: none. */
  dropout?: DropoutOptions | null | undefined;
  /**
   * The type of k and v, which are the halves of a key–value cache's columns. Packed ones are int32 [B, T, kvHeads ·
   * cacheWords]; they are read without gradients, and their heads are as wide as q's. Default: 'float32'.
   */
  cacheType?: CacheType | undefined;
}

const STAGES = ['raw', 'capped', 'biased', 'softmax'] as const;

export interface AttentionWeightsOptions extends AttentionOptions {
  /**
   * The step after which scores are returned. 'raw': scale · q kᵀ. 'capped': after the soft cap. Both are given for
   * every query and key, and are 0 past their lengths. 'biased': with biases, −∞ for hidden keys. 'softmax':
   * probabilities, 0 for hidden keys. These are ONNX's `qk_matmul_output_mode` 0 to 3. Default: 'softmax'.
   */
  stage?: (typeof STAGES)[number] | undefined;
}

/** Returns the number of a stage in commands. */
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
  sinks: TENSOR,
  dropout: orNull('object'),
  cacheType: CACHE_TYPES,
};
export const WEIGHTS_KINDS: Kinds<AttentionWeightsOptions> = { ...SCORES, stage: STAGES };
