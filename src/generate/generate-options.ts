// The options and the result of `generate`.

import type { AttentionMaps } from '../inspect/attention-maps.js';
import type { CacheType } from '../ops/kv-cache.js';
import type { LogitsProcessor } from './logits-processor.js';
import type { TableOptions } from './option-table.js';
import type { ResponseFormat } from './response-format.js';

/** A text that a model has read: a PromptCache. */
export interface CachedText {
  readonly tokens: readonly number[];
  readonly maxLength: number;
}

/** A draft model for speculative decoding: any model that generates. */
export interface DraftModel {
  readonly vocabSize: number;
  readonly maxLength: number;
  startDecoding(options: object): object;
}

/**
 * Options of `generate`. Names and meanings are Hugging Face's for options that it has, too. `option-table.ts` describes
 * those that decide which tokens come out.
 */
export interface GenerateOptions extends TableOptions {
  /**
   * The first token of a decoder that has sources, or whose prompt is empty. Default: the model's.
   */
  decoderStartTokenId?: number | null | undefined;
  /** Tokens that the output is forced to begin with: for all inputs, or one row for each. Default none. */
  prefix?: readonly number[] | Int32Array | readonly (readonly number[] | Int32Array)[] | undefined;
  /**
   * Tokens that end a sequence and are no part of it, except in `prefix`. Default: the end token of the model's target
   * tokenizer, or its eosId.
   */
  stopTokens?: readonly number[] | Int32Array | undefined;
  /**
   * Ends a sequence by returning true. The newest token stays in it. Called with the tokens so far, once they include all
   * of `prefix`.
   */
  stop?: ((tokens: readonly number[]) => boolean) | undefined;

  /** Functions that change scores before a token is chosen, called in this order, after penalties and before temperature. */
  logitsProcessors?: readonly LogitsProcessor[] | undefined;

  /**
   * Restricts outputs to a format: JSON of a schema, a regular expression, a grammar, or a list of choices. Tokens that
   * cannot lead to such a text within `maxNewTokens` have probability 0. Needs a model with a tokenizer. Default: any
   * text.
   */
  responseFormat?: ResponseFormat | undefined;

  /**
   * What the model has read before, for one input: of a prompt that begins like it, only the rest is read. Keeps what is
   * read and written now. Decoder-only, without beams or several sequences. Or what keys and values are to be kept as
   * while this is written: 'float32', 'float16' (half of the memory) or 'int8' (about a quarter: bytes, and a scale for each
   * 32 features of a head); that of a PromptCache is its own. See docs/packed-weights.md. Default: the model's `cacheType`,
   * and nothing is kept afterwards.
   */
  cache?: CachedText | CacheType | undefined;
  /**
   * Guesses several tokens, which the model then reads in one pass and keeps as far as it would have chosen them itself:
   * 'prompt' by what followed the newest tokens where they came before, a smaller model with the same vocabulary by what
   * it writes. The tokens and their log-probabilities are those of generation without, greedily and by sampling; only the
   * speed differs, by how good the guesses are. Inputs are decoded one after the other. Decoder-only, without beams or
   * several sequences. Default: none.
   */
  draft?: 'prompt' | DraftModel | undefined;

  /** Ends the generation: the promise rejects with the signal's reason, by default an AbortError. */
  signal?: AbortSignal | undefined;
  /**
   * Called with every token as it is chosen. A promise is waited for. What it throws ends the generation. Not with
   * beams, whose tokens are final only at the end.
   */
  onToken?: ((event: TokenEvent) => unknown) | undefined;
}

/** A token that was chosen. */
export interface TokenEvent {
  /** The sequence of the result that the token belongs to. */
  readonly sequence: number;
  /**
   * Its id. Of BPE and bytes it may be a part of a character, and spaces between words depend on what is around them:
   * to print a sequence as it grows, decode all of its tokens and print what is new, unless that ends with U+FFFD, whose
   * rest is in the next token:
   * ```ts
   * const ids: number[] = [];
   * let shown = '';
   * for await (const { token } of model.stream([prompt])) {
   *   ids.push(token);
   *   const text = tokenizer.decode(ids);
   *   if (text.endsWith('\ufffd')) continue;
   *   process.stdout.write(text.slice(shown.length));
   *   shown = text;
   * }
   * ```
   */
  readonly token: number;
  /** The log-probability by the model. */
  readonly logProbability: number;
}

/**
 * At most `numReturnSequences` sequences for each input, of beams the best first, one input after the other: `inputs`
 * says which input each belongs to.
 */
export interface GenerateResult {
  /** Tokens from `prefix` on, without the start or the prompt, and without the token that ended it. */
  readonly sequences: number[][];
  /**
   * Sum of log-probabilities / length^lengthPenalty, the end counted; of beams those that ranked them, changed by
   * `repetitionPenalty`, `logitsProcessors` and `temperature`.
   */
  readonly scores: number[];
  /** The model's log-probability of every token, and of the token that ended it, if one did. */
  readonly logProbabilities: number[][];
  /** The reason why each sequence ended: a stop token or function, or maxNewTokens. */
  readonly finishReasons: FinishReason[];
  /** The input that each sequence belongs to. */
  readonly inputs: number[];
  /**
   * With `outputAttentions`: of the sources and of what the decoder read, the start or the prompt and all tokens with
   * one after them. The last rows of each are what it looked at for each of its `logProbabilities`. To be disposed of
   * by the caller.
   */
  readonly attentions?: AttentionMaps;
}

export type FinishReason = 'stop' | 'length';
