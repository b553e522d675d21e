// Tokens that are forced at one position of the output: the first after the start token, or the last.

import type { ScoreProcessor } from './logits-processor.js';

/**
 * Forces one of `tokens` directly after the first `length` tokens. The forced token's score is 0, as in Hugging Face,
 * so it does not lower the score of a beam's hypothesis.
 */
export function forceTokens(tokens: readonly number[], length: number): ScoreProcessor {
  return (scores, read) => {
    if (read.length !== length) return;
    scores.fill(Number.NEGATIVE_INFINITY);
    for (const token of tokens) scores[token] = 0;
  };
}
