/**
 * Changes the scores of the next token in place. `scores` has one value per token of the vocabulary: logits, or
 * log-probabilities with beams. `tokens` are the tokens read so far, with the start or the prompt. The returned value
 * is ignored, but a promise is refused.
 *
 * -Infinity forbids a token. +Infinity forces it: after the last of `logitsProcessors`, +Infinity becomes 0 and every
 * other score -Infinity. Greedy search agrees with Hugging Face, which takes the first token with +Infinity. Hugging
 * Face's beams and samples compute a softmax of +Infinity there, which is NaN.
 *
 * A score of NaN, or a step that forbids every token, ends the generation with a SimdformerError. With beams,
 * forbidding every token is an error only if it happens to all beams of an input and no hypothesis is finished.
 */
export interface LogitsProcessor {
  (scores: Float32Array, tokens: readonly number[], bounds: SequenceBounds): void;
  /**
   * Does the same in slices: after each value that it yields, the event loop may run. Generation calls it instead of
   * the processor. Optional, for processors that can take more than a few milliseconds.
   */
  readonly inParts?:
    | ((scores: Float32Array, tokens: readonly number[], bounds: SequenceBounds) => Generator<undefined, void>)
    | undefined;
}

/** A processor that does not need these bounds. All processors of this package are of this kind. */
export interface ScoreProcessor {
  (scores: Float32Array, tokens: readonly number[]): void;
  readonly inParts?: ((scores: Float32Array, tokens: readonly number[]) => Generator<undefined, void>) | undefined;
}

/** The bounds of a sequence that is being generated. */
export interface SequenceBounds {
  /**
   * Number of tokens of the start or the prompt. The first new token, which can belong to `prefix`, is `tokens[begin]`.
   */
  readonly begin: number;
  /** Maximum number of tokens, including the start or the prompt. */
  readonly maxLength: number;
}

/** Properties of the sequence for which a processor changes scores. */
export interface TokenChoice {
  /** Number of tokens of the start or the prompt. */
  readonly begin: number;
  /** Number of tokens that are read before the model's first choice, including `prefix`. */
  readonly firstChoice: number;
  readonly maxNewTokens: number;
  readonly stopTokens: ReadonlySet<number>;
  /** The tokens that an encoder has read, or those of the prompt; none if the source is features. */
  readonly source: readonly number[];
}
