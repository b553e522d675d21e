// Sequences of tokens that are never generated.

import type { ScoreProcessor } from './logits-processor.js';

/**
 * Forbids the last token of each word directly after the word's other tokens. A word that consists of one stop token is
 * ignored, as in Hugging Face, so that outputs can end.
 */
export function forbidWords(words: readonly (readonly number[])[], stops: ReadonlySet<number>): ScoreProcessor {
  const counted = words.filter((word) => word.length > 1 || !stops.has(word[0] as number));
  return (scores, read) => {
    for (const word of counted) {
      const start = read.length - (word.length - 1);
      const isBegun = start >= 0 && word.slice(0, -1).every((token, i) => token === read[start + i]);
      if (isBegun) scores[word.at(-1) as number] = Number.NEGATIVE_INFINITY;
    }
  };
}
