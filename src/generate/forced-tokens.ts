// Tokens that are forced at a place of the output: the first one after the start, or the last one.

import type { ScoreProcessor } from './logits-processor.js';

/**
 * Forces one of these tokens as the one after the first `length`. Its score is 0, as in Hugging Face: with beams it
 * costs a hypothesis nothing.
 */
export function forceTokens(tokens: readonly number[], length: number): ScoreProcessor {
  return (scores, read) => {
    if (read.length !== length) return;
    scores.fill(Number.NEGATIVE_INFINITY);
    for (const token of tokens) scores[token] = 0;
  };
}
