// Forbids tokens at every step, or as the first token.

import type { ScoreProcessor } from './logits-processor.js';

/** Forbids these tokens at every step. */
export function suppressTokens(tokens: Iterable<number>): ScoreProcessor {
  return (scores) => {
    for (const token of tokens) scores[token] = Number.NEGATIVE_INFINITY;
  };
}

/**
 * Forbids these tokens directly after the first `begin` tokens, which are the start or the prompt and the tokens forced
 * after it.
 */
export function suppressTokensAtBegin(tokens: Iterable<number>, begin: number): ScoreProcessor {
  const suppress = suppressTokens(tokens);
  return (scores, read) => {
    if (read.length === begin) suppress(scores, read);
  };
}
