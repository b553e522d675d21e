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
   * Keys and values. A PromptCache continues from a text that the model has read: of a prompt with the same beginning,
   * only the rest is read. The cache then keeps the prompt and the output. It needs one input, a decoder-only model, no
   * beams and one returned sequence.
   *
   * A type sets the format of keys and values for this call: 'float32', 'float16' (half of the memory) or 'int8'. Int8
   * takes about a quarter: bytes, and a scale for each 32 features of a head. A PromptCache has its own type. See
   * docs/packed-weights.md. Default: the model's `cacheType`, and nothing is kept afterwards.
   */
  cache?: CachedText | CacheType | undefined;
  /**
   * Speculative decoding. A drafter guesses several tokens. The model reads them in one pass and keeps those that it
   * would have chosen itself. 'prompt' guesses the tokens that followed the newest ones earlier in the text. A draft
   * model, smaller and with the same vocabulary, guesses its own output.
   *
   * Tokens and log-probabilities equal those without a draft, with greedy search and with sampling. Only the speed
   * depends on the guesses. Inputs are decoded one after the other. Needs a decoder-only model, no beams and one
   * returned sequence. Default: none.
   */
  draft?: 'prompt' | DraftModel | undefined;

  /** Ends the generation when aborted. The promise rejects with the signal's reason, by default an AbortError. */
  signal?: AbortSignal | undefined;
  /**
   * Called with every token when it is chosen. A returned promise is awaited. An error that it throws ends the
   * generation. Not allowed with beams, whose tokens are final only at the end.
   */
  onToken?: ((event: TokenEvent) => unknown) | undefined;
}

/** A token that was chosen. */
export interface TokenEvent {
  /** Index of the sequence in the result. */
  readonly sequence: number;
  /**
   * Id of the token. It can be a part of a character, and spaces depend on neighbouring tokens. To print a growing
   * sequence, decode all of its tokens and print the new text. Wait for the next token while the text ends with U+FFFD:
   *
   * ```ts
   * const ids: number[] = [];
   * let shown = '';
   * for await (const { token } of model.stream([prompt])) {
   *   ids.push(token);
   *   const text = tokenizer.decode(ids);
   *   if (text.endsWith('\\ufffd')) continue;
   *   process.stdout.write(text.slice(shown.length));
   *   shown = text;
   * }
   * ```
   */
  readonly token: number;
  /** Natural logarithm of the model's probability for the token. */
  readonly logProbability: number;
}

/**
 * Result of `generate`. Each input has at most `numReturnSequences` sequences; beams are sorted, best first. `inputs`
 * gives the input of each sequence.
 */
export interface GenerateResult {
  /** Token ids of each sequence, from `prefix` on. The start, the prompt and the stop token are not included. */
  readonly sequences: number[][];
  /**
   * Sum of log-probabilities / length^lengthPenalty per sequence; the length counts the stop token. With beams, the
   * log-probabilities include `repetitionPenalty`, `logitsProcessors` and `temperature`.
   */
  readonly scores: number[];
  /** The model's log-probability of every token, followed by that of the stop token if there is one. */
  readonly logProbabilities: number[][];
  /** Reason why each sequence ended: a stop token, the `stop` function, or maxNewTokens. */
  readonly finishReasons: FinishReason[];
  /** Index of the input that each sequence belongs to. */
  readonly inputs: number[];
  /**
   * Present with `outputAttentions`: attention maps of the sources and of the tokens that the decoder read. The last
   * rows of a map belong to the sequence's `logProbabilities`. The caller disposes of them.
   */
  readonly attentions?: AttentionMaps;
}

export type FinishReason = 'stop' | 'length';
