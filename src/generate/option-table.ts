// The table of options that can change the generated tokens. Each row describes one option completely. The table
// determines the type and the checks of GenerateOptions, the settings of Hugging Face folders, and the names in
// pipelines. It also determines the command line's flags, the server's fields and the table in docs/generation.md.

import {
  anyOf,
  isPositive,
  listOf,
  numberThat,
  type OptionKind,
  type OptionRule,
  orNull,
  ruleOf,
} from '../core/check.js';
import { isList } from '../core/kinds.js';
import { forbidWords } from './bad-words.js';
import { forceTokens } from './forced-tokens.js';
import type { ScoreProcessor, TokenChoice } from './logits-processor.js';
import {
  epsilonCutoff,
  etaCutoff,
  favorSource,
  forbidBefore,
  frequencyPenalty,
  minP,
  noRepeatNgram,
  noSourceNgram,
  presencePenalty,
  repetitionPenalty,
  temperature,
  topH,
  topK,
  topP,
  typicalP,
} from './processors.js';
import { suppressTokens, suppressTokensAtBegin } from './suppress.js';

/** Default maximum number of new tokens, if neither the options nor the model set one. */
export const DEFAULT_NEW_TOKENS = 256;

/** Ids of tokens. */
export type TokenIds = readonly number[] | Int32Array;

/**
 * Categories of options by purpose. `sampling`: has an effect only with `doSample`. `lengths`: depends on the prompts.
 * `running`: changes how the work is done; model folders and pipelines cannot set these options.
 */
type Category = 'lengths' | 'search' | 'scores' | 'sampling' | 'running';

/** The limits of a number in a request to the server. */
export interface ServerField {
  readonly name: string;
  readonly min: number;
  readonly max: number;
  /** True if `min` itself is excluded. */
  readonly above?: boolean;
}

/** An option: its values, and everything that other parts of the package derive from them. */
export interface OptionRow<Value = unknown> {
  readonly category: Category;
  /** The value if neither the call nor the model sets the option. Giving it equals leaving the option out. */
  readonly default: Value;
  readonly rule: OptionRule;
  /** One line for the command line and the documentation. */
  readonly help: string;
  /** The setting of transformers' GenerationConfig, and its default there if that differs. */
  readonly huggingFace?: { readonly name: string; readonly default?: Value };
  /** The flag of commands that generate. */
  readonly flag?: string;
  readonly server?: ServerField;
  /** Makes the processor for a value that is not the default. */
  readonly processor?: (value: NonNullable<Value>, choice: TokenChoice) => ScoreProcessor;
  /** True if the engine, or single steps, apply the option, so that most steps need no logits on the host. */
  readonly isByEngine?: boolean;
  /** True for a length that includes the start token or the prompt. */
  readonly isTotalLength?: boolean;
}

/** A row with values of any type. */
export interface AnyRow extends Omit<OptionRow, 'processor'> {
  readonly processor?: (value: never, choice: TokenChoice) => ScoreProcessor;
}

type Settings<Value> = Omit<OptionRow<Value>, 'rule'> & { readonly check: OptionKind };

function row<Value>({ check, ...settings }: Settings<Value>): OptionRow<Value> {
  return { ...settings, rule: ruleOf(check) };
}

/** True for a value that has the same effect as leaving the option out. */
export function isNeutral(option: AnyRow, value: unknown): boolean {
  return isList(value) ? value.length === 0 : value === option.default;
}

const twoOrLess = numberThat((penalty) => penalty >= -2 && penalty <= 2, 'a number from -2 to 2');
const token = numberThat(Number.isInteger, 'a token');
/** Tokens in an array or an Int32Array. */
export const TOKENS: OptionRule = {
  accepts: (value) => isList(value) && Array.from(value).every(token.accepts),
  expected: 'an array of tokens',
  items: token,
};
const word = { ...TOKENS, accepts: (value: unknown) => TOKENS.accepts(value) && (value as TokenIds).length > 0 };
const words = listOf({ ...word, expected: 'an array of tokens that is not empty' }, 'an array of arrays of tokens');

/** The rows, in the order in which their processors are applied. It is the order of transformers. */
export const OPTION_TABLE = {
  /**
   * Maximum number of new tokens, including `prefix`. Default: 256, or fewer if the model's maxLength leaves less room.
   */
  maxNewTokens: row<number | undefined>({
    category: 'lengths',
    default: undefined,
    check: 'count',
    help: `maximum number of new tokens (default: ${DEFAULT_NEW_TOKENS}, or as many as fit)`,
    huggingFace: { name: 'max_new_tokens' },
  }),
  /**
   * Maximum length in tokens, including the start token or the longest prompt. `maxNewTokens` takes precedence.
   * Default: none.
   */
  maxLength: row<number | undefined>({
    category: 'lengths',
    default: undefined,
    check: 'count',
    help: 'maximum length in tokens, including the start token or the longest prompt',
    huggingFace: { name: 'max_length' },
    isTotalLength: true,
  }),
  /** Minimum number of new tokens: stop tokens are forbidden before. Default: 0. */
  minNewTokens: row<number>({
    category: 'lengths',
    default: 0,
    check: 'whole',
    help: 'minimum number of new tokens: stop tokens are forbidden before',
    huggingFace: { name: 'min_new_tokens' },
    isByEngine: true,
    processor: (count, { begin, stopTokens }) => forbidBefore(begin + count, stopTokens),
  }),
  /**
   * Like `minNewTokens`, but including the start token or the longest prompt. `minNewTokens` takes precedence. Default:
   * none.
   */
  minLength: row<number | undefined>({
    category: 'lengths',
    default: undefined,
    check: 'whole',
    help: 'minimum length in tokens, including the start token or the longest prompt',
    huggingFace: { name: 'min_length' },
    isTotalLength: true,
  }),

  /** Number of hypotheses that beam search keeps for each input. Default: 1, which is greedy search or sampling. */
  numBeams: row<number>({
    category: 'search',
    default: 1,
    check: 'count',
    help: 'number of hypotheses that beam search keeps for each input',
    huggingFace: { name: 'num_beams' },
  }),
  /**
   * Diverse beam search (Vijayakumar et al. 2018). The beams form this many groups of equal size. Each group is
   * searched separately, with `diversityPenalty` for tokens of earlier groups. Default: 1.
   */
  numBeamGroups: row<number>({
    category: 'search',
    default: 1,
    check: 'count',
    help: 'number of groups of beams that are searched separately; a divisor of numBeams',
    huggingFace: { name: 'num_beam_groups' },
  }),
  /**
   * Subtracted from the log-probability of a token, once for each beam of earlier groups that chose it at the same
   * step. Needs `numBeamGroups` above 1. Default: 0.
   */
  diversityPenalty: row<number>({
    category: 'search',
    default: 0,
    check: 'notNegative',
    help: 'lower the score of tokens that earlier groups of beams chose at the same step',
    huggingFace: { name: 'diversity_penalty' },
  }),
  /**
   * Hypotheses are ranked by sum of log-probabilities / length^lengthPenalty. The length includes the stop token.
   * Default: 1.
   */
  lengthPenalty: row<number>({
    category: 'search',
    default: 1,
    check: 'number',
    help: 'rank hypotheses by sum of log-probabilities / length^n',
    huggingFace: { name: 'length_penalty' },
  }),
  /**
   * Condition that ends beam search once there are numBeams finished hypotheses. true: it ends at once. false
   * (default): it ends when no unfinished hypothesis at its present length is better than the worst finished one.
   * 'never': it ends when none can become better at any length.
   */
  earlyStopping: row<boolean | 'never'>({
    category: 'search',
    default: false,
    check: [true, false, 'never'],
    help: 'end beam search at once (true), by a heuristic (false), or only when nothing better is possible (never)',
    huggingFace: { name: 'early_stopping' },
  }),
  /**
   * Number of sequences per input: the best beams, or samples. Beam search returns fewer, but at least one, if fewer
   * outputs are possible. Reasons can be forbidden tokens, a tiny vocabulary or a long `prefix`. Default: 1.
   */
  numReturnSequences: row<number>({
    category: 'search',
    default: 1,
    check: 'count',
    help: 'number of sequences for each input: the best beams, or samples',
    huggingFace: { name: 'num_return_sequences' },
  }),
  /**
   * True draws tokens by their probabilities; false chooses the most probable token. With beams, it draws without
   * replacement among the continuations of all beams, as Hugging Face does. Unlike there, `topK`, `topP` and `minP` may
   * leave a beam a single continuation, which can be a stop token. Results are ranked by their scores. Default: false.
   */
  doSample: row<boolean>({
    category: 'search',
    default: false,
    check: [true, false],
    help: 'draw tokens by their probabilities',
    huggingFace: { name: 'do_sample' },
  }),
  /**
   * Seed of the random numbers. Each sequence of the result has its own random stream. Equal seeds give equal results.
   * Default: 0.
   */
  seed: row<number>({ category: 'search', default: 0, check: 'seed', help: 'the same seed gives the same tokens' }),

  /** A value above 1 makes tokens of the source (of the prompt without an encoder) more likely. Default: 1. */
  encoderRepetitionPenalty: row<number>({
    category: 'scores',
    default: 1,
    check: 'positive',
    help: 'above 1, tokens of the source, or of the prompt, become more likely',
    huggingFace: { name: 'encoder_repetition_penalty' },
    processor: (factor, { source }) => favorSource(factor, source),
  }),
  /** A value above 1 makes tokens less likely if they have occurred in the prompt or the output. Default: 1. */
  repetitionPenalty: row<number>({
    category: 'scores',
    default: 1,
    check: 'positive',
    help: 'above 1, tokens become less likely if they have occurred in the prompt or the output',
    huggingFace: { name: 'repetition_penalty' },
    flag: '--repetition-penalty <n>',
    server: { name: 'repetition_penalty', min: 0.1, max: 10 },
    processor: repetitionPenalty,
  }),
  /** Lowers the score of a token by this value for each time it was generated; from -2 to 2. Default: 0. */
  frequencyPenalty: row<number>({
    category: 'scores',
    default: 0,
    check: twoOrLess,
    help: 'above 0, tokens become less likely each time they are generated',
    flag: '--frequency-penalty <n>',
    server: { name: 'frequency_penalty', min: -2, max: 2 },
    processor: (penalty, { firstChoice }) => frequencyPenalty(penalty, firstChoice),
  }),
  /** Lowers the score of a token by this value if it was generated before; from -2 to 2. Default: 0. */
  presencePenalty: row<number>({
    category: 'scores',
    default: 0,
    check: twoOrLess,
    help: 'above 0, tokens become less likely once they were generated',
    flag: '--presence-penalty <n>',
    server: { name: 'presence_penalty', min: -2, max: 2 },
    processor: (penalty, { firstChoice }) => presencePenalty(penalty, firstChoice),
  }),
  /** No n-gram of this length occurs twice. Default: 0, no limit. */
  noRepeatNgramSize: row<number>({
    category: 'scores',
    default: 0,
    check: 'whole',
    help: 'no n-gram of this length occurs twice; 0 for no limit',
    huggingFace: { name: 'no_repeat_ngram_size' },
    flag: '--no-repeat-ngram-size <n>',
    processor: noRepeatNgram,
  }),
  /** No n-gram of this length of the source (of the prompt without an encoder) is generated. Default: 0, no limit. */
  encoderNoRepeatNgramSize: row<number>({
    category: 'scores',
    default: 0,
    check: 'whole',
    help: 'no n-gram of this length of the source, or of the prompt, is generated; 0 for no limit',
    huggingFace: { name: 'encoder_no_repeat_ngram_size' },
    processor: (size, { source }) => noSourceNgram(size, source),
  }),
  /** Sequences of one or more tokens that are never generated. Default: none. */
  badWordsIds: row<readonly (readonly number[])[]>({
    category: 'scores',
    default: [],
    check: words,
    help: 'sequences of tokens that are never generated',
    huggingFace: { name: 'bad_words_ids' },
    processor: (all, { stopTokens }) => forbidWords(all, stopTokens),
  }),
  /** The token that is forced after the start token, such as the language to write in. Default: null, none. */
  forcedBosTokenId: row<number | null>({
    category: 'scores',
    default: null,
    check: orNull(token),
    help: 'the token forced after the start token, such as a language',
    huggingFace: { name: 'forced_bos_token_id' },
    isByEngine: true,
    processor: (token) => forceTokens([token], 1),
  }),
  /**
   * The token that is forced as the last one of a sequence that reaches `maxNewTokens`. From a list, the best one is
   * chosen. Default: null, none.
   */
  forcedEosTokenId: row<number | readonly number[] | null>({
    category: 'scores',
    default: null,
    check: orNull(anyOf(token, TOKENS)),
    help: 'the token forced at the end of a sequence that reaches its maximum length',
    huggingFace: { name: 'forced_eos_token_id' },
    isByEngine: true,
    processor: (tokens, { begin, maxNewTokens }) => forceTokens([tokens].flat(), begin + maxNewTokens - 1),
  }),
  /** Tokens that are never chosen. Default: none. */
  suppressTokens: row<TokenIds>({
    category: 'scores',
    default: [],
    check: TOKENS,
    help: 'tokens that are never chosen',
    huggingFace: { name: 'suppress_tokens' },
    isByEngine: true,
    processor: suppressTokens,
  }),
  /**
   * Tokens that are not chosen as the model's first choice, after the start or prompt, `prefix` and `forcedBosTokenId`.
   * Default: none.
   */
  beginSuppressTokens: row<TokenIds>({
    category: 'scores',
    default: [],
    check: TOKENS,
    help: 'tokens that are not chosen first',
    huggingFace: { name: 'begin_suppress_tokens' },
    isByEngine: true,
    processor: (tokens, { firstChoice }) => suppressTokensAtBegin(tokens, firstChoice),
  }),

  /** Divides the logits. Below 1, likely tokens become more likely. Default: 1. */
  temperature: row<number>({
    category: 'sampling',
    default: 1,
    check: numberThat(isPositive, 'a positive number (doSample: false chooses the most probable tokens)'),
    help: 'divides the logits: below 1, likely tokens become more likely',
    huggingFace: { name: 'temperature' },
    flag: '--temperature <t>',
    server: { name: 'temperature', min: 0, max: 2 },
    processor: temperature,
  }),
  /**
   * Samples from the most probable tokens whose terms of the entropy add up to this share of it (top-H sampling), at
   * most 100 tokens. Default: 0, all tokens.
   */
  topH: row<number>({
    category: 'sampling',
    default: 0,
    check: 'share',
    help: 'sample from the most probable tokens that together have this share of the entropy; 0 for all',
    huggingFace: { name: 'top_h' },
    flag: '--top-h <share>',
    server: { name: 'top_h', min: 0, max: 1 },
    processor: topH,
  }),
  /**
   * Samples from the k most probable tokens. Default: 0, all tokens. For models from Hugging Face folders the default
   * is 50.
   */
  topK: row<number>({
    category: 'sampling',
    default: 0,
    check: 'whole',
    help: 'sample from the k most probable tokens; 0 for all',
    huggingFace: { name: 'top_k', default: 50 },
    flag: '--top-k <k>',
    server: { name: 'top_k', min: 0, max: 2 ** 31 - 1 },
    processor: topK,
  }),
  /** Samples from the fewest tokens whose probabilities reach p (nucleus sampling). Default: 1, all tokens. */
  topP: row<number>({
    category: 'sampling',
    default: 1,
    check: 'positiveShare',
    help: 'sample from the most probable tokens that together have probability p',
    huggingFace: { name: 'top_p' },
    flag: '--top-p <p>',
    server: { name: 'top_p', min: 0, max: 1, above: true },
    processor: topP,
  }),
  /** Samples from tokens at least p times as probable as the best. Default: 0, all tokens. */
  minP: row<number>({
    category: 'sampling',
    default: 0,
    check: 'share',
    help: 'sample from tokens that are at least p times as probable as the best',
    huggingFace: { name: 'min_p' },
    flag: '--min-p <p>',
    server: { name: 'min_p', min: 0, max: 1 },
    processor: minP,
  }),
  /**
   * Samples from the tokens whose log-probability is nearest to its expected value: the fewest that together have
   * probability p (locally typical sampling). Default: 1, all tokens.
   */
  typicalP: row<number>({
    category: 'sampling',
    default: 1,
    check: 'positiveShare',
    help: 'sample from the most typical tokens that together have probability p',
    huggingFace: { name: 'typical_p' },
    flag: '--typical-p <p>',
    server: { name: 'typical_p', min: 0, max: 1, above: true },
    processor: typicalP,
  }),
  /** Samples from tokens with at least this probability, 3e-4 for example. Default: 0, all tokens. */
  epsilonCutoff: row<number>({
    category: 'sampling',
    default: 0,
    check: 'fraction',
    help: 'sample from tokens with at least this probability',
    huggingFace: { name: 'epsilon_cutoff' },
    flag: '--epsilon-cutoff <p>',
    server: { name: 'epsilon_cutoff', min: 0, max: 0.999 },
    processor: epsilonCutoff,
  }),
  /**
   * Samples from tokens with at least probability min(eta, √eta · e^−entropy), eta being 3e-4 for example. Default: 0.
   */
  etaCutoff: row<number>({
    category: 'sampling',
    default: 0,
    check: 'fraction',
    help: 'sample from tokens with at least this probability, or less if the distribution is flat',
    huggingFace: { name: 'eta_cutoff' },
    flag: '--eta-cutoff <p>',
    server: { name: 'eta_cutoff', min: 0, max: 0.999 },
    processor: etaCutoff,
  }),

  /**
   * Lets prompts and outputs exceed the model's maxLength, for decoder-only models. Each further token is chosen after
   * reading the last maxLength tokens again, as nanoGPT does, which costs a complete pass. Other sequences of the batch
   * are read again, too, so their log-probabilities may be rounded differently. Default: false, prompt and output must
   * fit into maxLength.
   */
  cropContext: row<boolean>({
    category: 'running',
    default: false,
    check: [true, false],
    help: 'continue beyond maxLength by reading the last maxLength tokens again for each token',
  }),
  /**
   * Computes the attention maps of every layer for the finished sequences, as `attentions` of the result. Default:
   * false.
   */
  outputAttentions: row<boolean>({
    category: 'running',
    default: false,
    check: [true, false],
    help: 'compute the attention maps of every layer for the finished sequences',
  }),
  /**
   * Maximum number of inputs in a batch. More inputs are sorted by length and split into batches, because a batch takes
   * as long as its longest output. Default: 64.
   */
  batchSize: row<number>({
    category: 'running',
    default: 64,
    check: 'count',
    help: 'maximum number of inputs in a batch',
  }),
};

type Table = typeof OPTION_TABLE;

export type OptionName = keyof Table;

/** The options of the table by name, as calls give them. */
export type TableOptions = {
  [Name in OptionName]?: (Table[Name] extends OptionRow<infer Value> ? Value : never) | undefined;
};

/** Rows with their names, in order. */
export const OPTION_ROWS = Object.entries(OPTION_TABLE) as [OptionName, AnyRow][];

/** The names of the options of some categories. */
export function namesOf(...categories: readonly Category[]): OptionName[] {
  return OPTION_ROWS.filter(([, { category }]) => categories.includes(category)).map(([name]) => name);
}
