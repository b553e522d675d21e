// Tokens that are never chosen, or not as the first one.

import type { ScoreProcessor } from './logits-processor.js';

/** Forbids these tokens at every step. */
export function suppressTokens(tokens: Iterable<number>): ScoreProcessor {
  return (scores) => {
    for (const token of tokens) scores[token] = Number.NEGATIVE_INFINITY;
  };
}

/** Forbids these tokens as the one after the first `begin`, which are the start or the prompt, and what is forced after it. */
export function suppressTokensAtBegin(tokens: Iterable<number>, begin: number): ScoreProcessor {
  const suppress = suppressTokens(tokens);
  return (scores, read) => {
    if (read.length === begin) suppress(scores, read);
  };
}
