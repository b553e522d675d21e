// What `generate` takes and gives.

import type { AttentionMaps } from '../inspect/attention-maps.js';
import type { CacheType } from '../ops/kv-cache.js';
import type { LogitsProcessor } from './logits-processor.js';
import type { ResponseFormat } from './response-format.js';

/** What a model has read: a PromptCache. */
export interface CachedText {
  readonly tokens: readonly number[];
  readonly maxLength: number;
}

/** A model that guesses for another one: any that generates. */
export interface DraftModel {
  readonly vocabSize: number;
  readonly maxLength: number;
  startDecoding(options: object): object;
}

/** Names and meanings are Hugging Face's where it has the option. */
export interface GenerateOptions {
  /**
   * Tokens after the start (or the prompt) at most, those of `prefix` included. Default 256, or what the model's
   * maxLength leaves.
   */
  maxNewTokens?: number | undefined;
  /** The same, counted with the start or the longest prompt. Counts less than `maxNewTokens`, be that the model's own. */
  maxLength?: number | undefined;
  /** End tokens are forbidden until there are this many new tokens. Default 0. */
  minNewTokens?: number | undefined;
  /** The same, counted with the start or the longest prompt. Counts less than `minNewTokens`, be that the model's own. */
  minLength?: number | undefined;
  /**
   * With what a decoder begins that writes from sources, and one of its own where a prompt is empty. Default: the
   * model's.
   */
  decoderStartTokenId?: number | null | undefined;
  /** Tokens that the output is forced to begin with: for all inputs, or one row for each. Default none. */
  prefix?: readonly number[] | Int32Array | readonly (readonly number[] | Int32Array)[] | undefined;
  /**
   * Tokens that end a sequence and are no part of it, but for those of `prefix`. Default: the end of the model's target
   * tokenizer, or its eosId.
   */
  stopTokens?: readonly number[] | Int32Array | undefined;
  /**
   * Decoder-only: once a sequence is as long as the model's maxLength, every further token is chosen after reading the
   * last maxLength tokens anew, as nanoGPT does: prompts and outputs can be of any length, but such a token costs a
   * whole pass. Those beside it in a batch are read anew as well, so that their log-probabilities may be rounded
   * otherwise than alone. Default false: prompt and output must fit into maxLength.
   */
  cropContext?: boolean | undefined;
  /**
   * Ends a sequence after its newest token, which stays in it, by returning true. Gets what was generated so far, once
   * that has all of `prefix`.
   */
  stop?: ((tokens: readonly number[]) => boolean) | undefined;

  /** Hypotheses that beam search keeps for each input. Default 1: greedy, or sampling. */
  numBeams?: number | undefined;
  /**
   * Hypotheses are ranked by sum of log-probabilities / length^lengthPenalty, the end counted as a token. Default 1.
   */
  lengthPenalty?: number | undefined;
  /**
   * When beam search ends, once there are numBeams finished hypotheses. true: at once. false (default): when the best
   * unfinished one is no better than the worst of them, at the length it has now. 'never': when it cannot become better
   * at any length.
   */
  earlyStopping?: boolean | 'never' | undefined;
  /**
   * Sequences for each input: the best of the beams, or this many samples. Beams give fewer, but at least one, where
   * fewer outputs are possible: tokens are forbidden, the vocabulary is tiny, `prefix` leaves few tokens. Default 1.
   */
  numReturnSequences?: number | undefined;

  /**
   * Draws tokens by their probabilities. Default false: the most probable. With beams: draws without replacement among
   * the ways to go on of all beams, as Hugging Face's beam sampling, but `topK`, `topP` and `minP` may leave a beam a
   * single one, the end included; results are still ranked by their scores.
   */
  doSample?: boolean | undefined;
  /** Divides logits: below 1 likely tokens become likelier. Default 1. */
  temperature?: number | undefined;
  /** Samples from the k most probable tokens. Default 0: from all. */
  topK?: number | undefined;
  /** Samples from the fewest tokens whose probabilities reach p (nucleus sampling). Default 1: from all. */
  topP?: number | undefined;
  /** Samples from tokens at least p times as probable as the best. Default 0: from all. */
  minP?: number | undefined;
  /** Same seed, same tokens; every sequence of the result has its own random numbers. Default 0. */
  seed?: number | undefined;

  /** Above 1: tokens that are there already become less likely. Default 1. */
  repetitionPenalty?: number | undefined;
  /** No n-gram of this length occurs twice. Default 0: no limit. */
  noRepeatNgramSize?: number | undefined;
  /** Tokens, or several in a row, that never come out. Default none. */
  badWordsIds?: readonly (readonly number[])[] | undefined;
  /** The token after the start, such as the language to write in. Default null: the model's choice. */
  forcedBosTokenId?: number | null | undefined;
  /** The last token of what becomes as long as `maxNewTokens`; one of several. Default null: the model's choice. */
  forcedEosTokenId?: number | readonly number[] | null | undefined;
  /** Tokens that are never chosen. Default none. */
  suppressTokens?: readonly number[] | Int32Array | undefined;
  /** Tokens that are not chosen as the first one after the start or prompt, `prefix` and `forcedBosTokenId`. Default none. */
  beginSuppressTokens?: readonly number[] | Int32Array | undefined;
  /** Change scores before tokens are chosen, in this order, after all above and before temperature and the rest. */
  logitsProcessors?: readonly LogitsProcessor[] | undefined;

  /**
   * Lets only texts of a format come out: JSON of a schema, what a regular expression or a grammar allows, one of some
   * choices. Tokens that cannot lead to such a text within `maxNewTokens` have probability 0. For models with a tokenizer.
   * Default: any text.
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

  /**
   * Inputs at most that are decoded side by side. More are sorted by length and taken in turn: a batch takes as long as
   * its longest output. Default 64.
   */
  batchSize?: number | undefined;
  /** Ends the generation: the promise rejects with the signal's reason, by default an AbortError. */
  signal?: AbortSignal | undefined;
  /**
   * Called with every token as it is chosen. A promise is waited for. What it throws ends the generation. Not with
   * beams, whose tokens are final only at the end.
   */
  onToken?: ((event: TokenEvent) => unknown) | undefined;
  /** Computes the attention of every layer over the finished sequences: `attentions` of the result. Default false. */
  outputAttentions?: boolean | undefined;
}

/** A token that was chosen. */
export interface TokenEvent {
  /** Which sequence of the result it belongs to. */
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
  /** What the model gave it. */
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
  /** Whether a stop token or function ended it, or maxNewTokens. */
  readonly finishReasons: FinishReason[];
  /** Which input each sequence belongs to. */
  readonly inputs: number[];
  /**
   * With `outputAttentions`: of the sources and of what the decoder read, the start or the prompt and all tokens with
   * one after them. The last rows of each are what it looked at for each of its `logProbabilities`. To be disposed of
   * by the caller.
   */
  readonly attentions?: AttentionMaps;
}

export type FinishReason = 'stop' | 'length';
