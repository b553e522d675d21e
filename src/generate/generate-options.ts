// The options and the result of `generate`.

import type { AttentionMaps } from '../inspect/attention-maps.js';
import type { CacheType } from '../ops/kv-cache.js';
import type { Drafter } from './drafter.js';
import type { LogitsProcessor } from './logits-processor.js';
import type { TableOptions } from './option-table.js';
import type { ResponseFormat } from './response-format.js';

/** The part of a PromptCache that options need: the text that the model has read. */
export interface CachedText {
  readonly tokens: readonly number[];
  readonly maxLength: number;
}

/** The part of a draft model that options need. Any model that can generate is a draft model. */
export interface DraftModel {
  readonly vocabSize: number;
  readonly maxLength: number;
  startDecoding(options: object): object;
}

/** Layers that draft tokens by the features of a model's last layer. `loadPredictor` loads them. */
export interface FeatureDraft {
  /** True if they belong to `model`. */
  predicts(model: object): boolean;
  /** Makes the drafter of one generation. */
  drafter(): Drafter;
}

/**
 * Options of `generate`. Options that Hugging Face also has use its names and meanings. `option-table.ts` defines those
 * that can change the generated tokens.
 */
export interface GenerateOptions extends TableOptions {
  /** First token of the decoder, for models with an encoder and for empty prompts. Default: the model's `startId`. */
  decoderStartTokenId?: number | null | undefined;
  /** Tokens with which the output must begin: one list for all inputs, or a list per input. Default: none. */
  prefix?: readonly number[] | Int32Array | readonly (readonly number[] | Int32Array)[] | undefined;
  /**
   * Tokens that end a sequence. The sequence does not include them, except in `prefix`. Default: the end token of the
   * model's target tokenizer, or the model's `endIds`.
   */
  stopTokens?: readonly number[] | Int32Array | undefined;
  /**
   * Called after each new token beyond `prefix`, with all tokens of the output so far. Returning true ends the
   * sequence, which includes the newest token.
   */
  stop?: ((tokens: readonly number[]) => boolean) | undefined;

  /**
   * Functions that change the scores before a token is chosen. They are called in order, after penalties and before
   * temperature.
   */
  logitsProcessors?: readonly LogitsProcessor[] | undefined;

  /**
   * Restricts outputs to a format: JSON that satisfies a schema, a regular expression, a grammar, or a list of choices.
   * Tokens that cannot lead to a complete text within `maxNewTokens` get probability 0. Needs a model with a tokenizer.
   * Default: any text.
   */
  responseFormat?: ResponseFormat | undefined;

  /**
   * The text that the model has read, with its keys and values. If the prompt has the same beginning, only the rest of
   * the prompt is read. Afterwards the cache holds the prompt and the output. A PromptCache needs one input, a
   * decoder-only model, no beams and one returned sequence. Default: nothing is kept afterwards.
   */
  cache?: CachedText | undefined;
  /**
   * Format of keys and values: 'float32', 'float16' (half of the memory) or 'int8'. Int8 takes about a quarter: one
   * byte per value, and a scale for each 32 features of a head. A PromptCache has its own format. See
   * docs/packed-weights.md. Default: the model's `cacheType`.
   */
  cacheType?: CacheType | undefined;
  /**
   * Speculative decoding. A drafter proposes several tokens. The model reads them in one pass and keeps those that it
   * would have chosen itself. 'prompt' looks for an earlier occurrence of the newest tokens in the text and drafts the
   * tokens after it. A draft model is smaller and has the same vocabulary; its greedy output is the draft.
   * `loadPredictor` loads the layers that a checkpoint has for drafts.
   *
   * Tokens and log-probabilities equal those without a draft, with greedy search and with sampling. Only the speed
   * depends on the drafts. Inputs are decoded one after the other. Needs a decoder-only model, no beams and one
   * returned sequence. Default: none.
   */
  draft?: 'prompt' | DraftModel | FeatureDraft | undefined;
  /** Called after each pass that read a draft. Default: none. */
  onDraft?: ((event: DraftEvent) => void) | undefined;

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
   * Id of the token. A token can be part of a character, and spaces can depend on neighbouring tokens. To print a
   * growing sequence, decode all of its tokens and print the new part of the text. While the text ends with U+FFFD,
   * wait for the next token:
   *
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
  /** Natural logarithm of the model's probability for the token. */
  readonly logProbability: number;
}

/** The draft of one pass. */
export interface DraftEvent {
  /** Index of the sequence in the result. */
  readonly sequence: number;
  /** Index in the sequence at which the draft begins. */
  readonly at: number;
  /** The drafted tokens. */
  readonly tokens: readonly number[];
  /** Number of leading drafted tokens that the model has chosen, too. */
  readonly accepted: number;
}

/**
 * Result of `generate`. Each input has at most `numReturnSequences` sequences. Sequences of beam search are sorted,
 * best first. `inputs` gives the input of each sequence.
 */
export interface GenerateResult {
  /**
   * Token ids of each sequence, including `prefix`. The start token, the prompt and the stop token are not included.
   */
  readonly sequences: number[][];
  /**
   * Sum of log-probabilities / length^lengthPenalty of each sequence. The length includes the stop token. With beams,
   * these log-probabilities are computed after `repetitionPenalty`, `logitsProcessors` and `temperature`.
   */
  readonly scores: number[];
  /** The model's log-probability of every token, followed by that of the stop token if there is one. */
  readonly logProbabilities: number[][];
  /** Reason why each sequence ended: a stop token, the `stop` function, or maxNewTokens. */
  readonly finishReasons: FinishReason[];
  /** Id of the stop token that ended each sequence; null if none did. */
  readonly stopTokens: (number | null)[];
  /** Index of the input that each sequence belongs to. */
  readonly inputs: number[];
  /**
   * Present with `outputAttentions`: attention maps of the sources and of the tokens that the decoder read. The last
   * rows of a map correspond to the sequence's `logProbabilities`. The caller disposes of the maps.
   */
  readonly attentions?: AttentionMaps;
}

export type FinishReason = 'stop' | 'length';
