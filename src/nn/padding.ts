// Attention masks of batches in which padding is computed like tokens, because a loss needs the results.

import type { Tensor } from '../core/tensor.js';
import type { Sequences } from './sequences.js';

/**
 * A query attends to keys at a distance of less than this number. A pair has one number for earlier keys and one for
 * later keys.
 */
export type AttentionWindow = number | readonly [before: number, after: number];

/** Masks of a batch with padding. */
export interface PaddingMask {
  /** int32 [B, 1, 1 | T, T]: 1 if a query attends to a key. */
  readonly mask: Tensor;
  /**
   * float32 [B·T, 1]: 0 for queries that can attend to no token, else 1. Attention of the former is uniform over all
   * keys. Null if there are none.
   */
  readonly hasKeys: Tensor | null;
  /** How all scores of a query without keys become equal: see `Keyless`. */
  readonly keyless: Keyless;
  /** float32 [B, 1, T, 1]: 1 for tokens, 0 for padding. Null if all rows are tokens. */
  readonly tokens: Tensor | null;
}

/**
 * Result of a query that can attend to no token. 'zero': zero, as in PyTorch's `scaled_dot_product_attention`. Otherwise
 * it attends to all keys equally, because the lowest number is added to its scores ('added') or replaces them
 * ('filled'). Only added numbers let gradients pass.
 */
export type Keyless = 'zero' | 'added' | 'filled';

interface PaddingMaskOptions {
  /** The window of queries; null if they attend to all keys. */
  readonly window: AttentionWindow | null;
  /** True if the mask hides later keys, too. */
  readonly causal: boolean;
  /** True if queries that are padding attend to no token. */
  readonly masksPaddingQueries: boolean;
  readonly keyless: Keyless;
}

/**
 * Returns the masks of a batch whose sequences are all T long, or null if none has padding. No query attends to
 * padding.
 */
export function paddingMask(
  { isToken, tokenMask, longest, size, positions: { device } }: Sequences,
  { window, causal, masksPaddingQueries, keyless }: PaddingMaskOptions,
): PaddingMask | null {
  if (isToken === null || tokenMask === null) return null;
  const tokens = tokenMask.reshape(size, 1, longest, 1); // [B, 1, T, 1]
  if (window === null && !causal && !masksPaddingQueries) {
    const keys = Int32Array.from(isToken.flat(), Number);
    return { mask: device.tensor(keys, [size, 1, 1, longest]), hasKeys: null, keyless, tokens };
  }
  const [before, after] = typeof window === 'number' ? [window, window] : (window ?? [longest, longest]);
  const mask = new Int32Array(size * longest * longest);
  const hasKeys = new Float32Array(size * longest).fill(1);
  for (const [b, row] of isToken.entries()) {
    for (let query = 0; query < longest; query++) {
      const keys = mask.subarray((b * longest + query) * longest, (b * longest + query + 1) * longest);
      const isMaskedQuery = masksPaddingQueries && !row[query];
      const isInWindow = (key: number) => query - key < before && (key <= query || (!causal && key - query < after));
      for (let key = 0; key < longest; key++) keys[key] = row[key] && isInWindow(key) && !isMaskedQuery ? 1 : 0;
      if (keyless === 'zero' || keys.includes(1)) continue;
      keys.fill(1);
      hasKeys[b * longest + query] = 0;
    }
  }
  return {
    mask: device.tensor(mask, [size, 1, longest, longest]),
    hasKeys: hasKeys.includes(0) ? device.tensor(hasKeys, [size * longest, 1]) : null,
    keyless,
    tokens,
  };
}
