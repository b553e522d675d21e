// Attention masks of batches in which padding is computed like tokens, because a loss needs the results.

import type { Tensor } from '../core/tensor.js';
import type { Sequences } from './sequences.js';

/**
 * A query attends to keys at a distance of less than this number. A pair has one number for earlier keys and one for
 * later keys.
 */
export type Window = number | readonly [before: number, after: number];

/** Mask of a batch with padding. */
export interface PaddingSight {
  /** int32 [B, 1, 1 | T, T]: 1 if a query attends to a key. */
  readonly mask: Tensor;
  /**
   * float32 [B·T, 1]: 0 for queries that can attend to no token, else 1. Their attention is uniform over all keys. Null
   * if there are none.
   */
  readonly sighted: Tensor | null;
  /** float32 [B, 1, T, 1]: 1 for tokens, 0 for padding. Null if all rows are tokens. */
  readonly tokens: Tensor | null;
}

/**
 * Returns the mask of a batch whose sequences are all T long, or null if none has padding. No query attends to padding.
 * A query outside the window of all tokens attends to all keys equally. transformers does the same, because it adds the
 * lowest number to all scores. With `blind`, padding attends to nothing.
 */
export function paddingSight(batch: Sequences, window: Window | null, blind: boolean): PaddingSight | null {
  const { isToken, tokenMask, longest, size, positions } = batch;
  if (isToken === null || tokenMask === null) return null;
  const { device } = positions;
  const tokens = tokenMask.reshape(size, 1, longest, 1); // [B, 1, T, 1]
  if (window === null && !blind) {
    const keys = Int32Array.from(isToken.flat(), Number);
    return { mask: device.tensor(keys, [size, 1, 1, longest]), sighted: null, tokens };
  }
  const [before, after] = typeof window === 'number' ? [window, window] : (window ?? [longest, longest]);
  const mask = new Int32Array(size * longest * longest);
  const sighted = new Float32Array(size * longest).fill(1);
  for (const [b, row] of isToken.entries()) {
    for (let query = 0; query < longest; query++) {
      const line = mask.subarray((b * longest + query) * longest, (b * longest + query + 1) * longest);
      const sees = (key: number) =>
        row[key] && query - key < before && (key <= query || key - query < after) && (row[query] || !blind);
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
