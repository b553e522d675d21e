// Masks of attention in batches where padding is computed along with tokens, because a loss needs the results.

import type { Tensor } from '../core/tensor.js';
import type { Sequences } from './sequences.js';

/** The mask of a batch with padding. */
export interface PaddingSight {
  /** int32 [B, 1, 1 | T, T]: whether a query sees a key. */
  readonly mask: Tensor;
  /** float32 [B·T, 1]: 0 for queries that see no token, whose attention is spread over all keys; null if there are none. */
  readonly sighted: Tensor | null;
  /** float32 [B, 1, T, 1]: 1 for tokens, 0 for padding. */
  readonly tokens: Tensor;
}

/**
 * The mask of a batch whose rows are all T long, some of them padding; null if none is. No query sees padding. A query
 * that sees nothing else, because all tokens are `window` or more places away, attends to all keys alike. transformers
 * does the same: it adds the least number to all scores. `blind`: padding sees nothing, however near.
 */
export function paddingSight(batch: Sequences, window: number | null, blind: boolean): PaddingSight | null {
  const { isToken, tokenMask, longest, size, positions } = batch;
  if (isToken === null || tokenMask === null) return null;
  const { device } = positions;
  const tokens = tokenMask.reshape(size, 1, longest, 1);
  if (window === null && !blind) {
    const keys = Int32Array.from(isToken.flat(), Number);
    return { mask: device.tensor(keys, [size, 1, 1, longest]), sighted: null, tokens };
  }
  const reach = window ?? longest;
  const mask = new Int32Array(size * longest * longest);
  const sighted = new Float32Array(size * longest).fill(1);
  for (const [b, row] of isToken.entries()) {
    for (let query = 0; query < longest; query++) {
      const line = mask.subarray((b * longest + query) * longest, (b * longest + query + 1) * longest);
      const sees = (key: number) => row[key] && Math.abs(query - key) < reach && (row[query] || !blind);
      for (let key = 0; key < longest; key++) line[key] = sees(key) ? 1 : 0;
      if (line.includes(1)) continue;
      line.fill(1);
      sighted[b * longest + query] = 0;
    }
  }
  const isBlind = sighted.includes(0);
  return {
    mask: device.tensor(mask, [size, 1, longest, longest]),
    sighted: isBlind ? device.tensor(sighted, [size * longest, 1]) : null,
    tokens,
  };
}
