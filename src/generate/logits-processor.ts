/**
 * Changes the scores of the next token in place. `scores` has one value per token of the vocabulary: logits, or
 * log-probabilities with beams. `tokens` are the tokens read so far, with the start or the prompt. The returned value
 * is ignored, but a promise is refused.
 *
 * -Infinity forbids a token. +Infinity forces it: after the last of `logitsProcessors`, +Infinity becomes 0 and every
 * other score -Infinity. Greedy search agrees with Hugging Face, which takes the first token with +Infinity. Hugging
 * Face's beams and samples compute a softmax of +Infinity there, which is NaN.
 *
 * A score of NaN ends the generation with a SimdformerError. So does a step that forbids every token. With beams, this
 * holds if every beam of an input is stuck and no hypothesis is finished.
 */
export type LogitsProcessor = (scores: Float32Array, tokens: readonly number[], place: TokenPlace) => void;

/** A processor that does not need the token's place; all processors of the package are of this kind. */
export type ScoreProcessor = (scores: Float32Array, tokens: readonly number[]) => void;

/** The place of the next token. */
export interface TokenPlace {
  /** Tokens of the start or the prompt: the first new one is `tokens[begin]`, those of `prefix` included. */
  readonly begin: number;
  /** The greatest number of tokens, including these. */
  readonly maxLength: number;
}

/** The sequence for which processors of `generate` choose. */
export interface TokenChoice {
  /** Tokens of the start or the prompt. */
  readonly begin: number;
  /** Tokens that are read before the model makes its first choice: those of `prefix` included. */
  readonly firstChoice: number;
  readonly maxNewTokens: number;
  readonly stopTokens: ReadonlySet<number>;
}
