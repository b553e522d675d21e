/**
 * Changes the scores of the next token in place, one for each of the vocabulary: logits, or log-probabilities with
 * beams. What it returns is ignored, but a promise is refused. `tokens` is what the decoder has read so far, the start
 * or the prompt included.
 *
 * -Infinity forbids a token. +Infinity forces it: after the last of `logitsProcessors` it counts as 0, and all that are
 * not +Infinity as -Infinity. Greedily that is Hugging Face's choice, the first of those with +Infinity; its beams and
 * samples, whose softmax of +Infinity is NaN, end in an error or go astray. SimdformerError ends the generation if a
 * score is NaN, or if every token is forbidden: with beams if that is so of every beam of an input, and none has
 * finished yet.
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
