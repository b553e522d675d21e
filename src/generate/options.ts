import {
  checkKnown,
  checkNumber,
  checkOneOf,
  checkSynchronous,
  describeValue,
  isCount,
  isPositive,
  isSeed,
  isWhole,
  SEED,
  withDefaults,
} from '../core/check.js';
import type { Complete } from '../core/complete.js';
import { ArgumentError } from '../core/errors.js';
import { isList } from '../core/kinds.js';
import type { AttentionMaps } from '../inspect/attention-maps.js';
import { maxCacheRows } from '../ops/kv-cache.js';
import { maxTopK } from '../ops/top-k.js';
import type { Generative } from './generative.js';
import type { LogitsProcessor } from './processors.js';

/** Names and meanings are Hugging Face's where it has the option. */
export interface GenerateOptions {
  /**
   * Tokens after the start (or the prompt) at most, those of `prefix` included. Default 256, or what the model's
   * maxLength leaves.
   */
  maxNewTokens?: number | undefined;
  /** End tokens are forbidden until there are this many new tokens. Default 0. */
  minNewTokens?: number | undefined;
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
  /** Change scores before tokens are chosen, in this order, after the two above and before temperature and the rest. */
  logitsProcessors?: readonly LogitsProcessor[] | undefined;

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

/** A sequence on its way. */
export interface Hypothesis {
  readonly tokens: readonly number[];
  readonly logProbabilities: readonly number[];
  readonly score: number;
  readonly reason: FinishReason;
}

/** One input, and what its outputs begin with. */
export interface PlannedInput {
  /** Its place among all inputs. */
  readonly index: number;
  /** The source, or the prompt of a decoder-only model. */
  readonly tokens: readonly number[];
  /** What the decoder reads first. */
  readonly prompt: readonly number[];
  readonly prefix: readonly number[];
}

/** Options with defaults, and what they mean for the inputs. */
export interface Plan extends Complete<Omit<GenerateOptions, 'stop' | 'signal' | 'onToken' | 'prefix' | 'stopTokens'>> {
  readonly stop: ((tokens: readonly number[]) => boolean) | undefined;
  readonly stopTokens: ReadonlySet<number>;
  readonly inputs: readonly PlannedInput[];
  /** Sequences decoded side by side for each input. */
  readonly width: number;
  /** How many of them leave the batch together: those that share a source, or are beams. */
  readonly group: number;
  /** Logits of a sequence. */
  readonly vocabulary: number;
  /** How many best tokens of a sequence the engine finds at most. */
  readonly maxRanked: number;
  /** How many sequences can change places at most. */
  readonly maxSequences: number;
}

/** The part of a plan that follows from the options alone, whatever the inputs are. */
type Settings = Omit<Plan, 'inputs' | 'width' | 'group' | 'vocabulary' | 'maxRanked' | 'maxSequences'>;

/** Checks options. `inputs` are sources, or prompts of a decoder-only model. */
export function resolveOptions(
  model: Generative,
  inputs: readonly (readonly number[])[],
  options: GenerateOptions,
): Plan {
  const { maxLength, maxSourceLength = 0 } = model;
  const prompts = promptsOf(model, inputs);
  const left = maxLength - longest(prompts) + 1;
  const room = options.cropContext ? Number.MAX_SAFE_INTEGER : left;
  if (room < 1) refuse(`a prompt is longer than the model's maxLength, ${maxLength}`);
  const settings = settingsOf(model, options, room);
  const { numBeams, numReturnSequences, maxNewTokens } = settings;
  check('maxNewTokens', maxNewTokens, isCount, 'a positive integer');
  const further = maxSourceLength > 0 ? '' : '; cropContext: true goes on beyond it';
  const most = `at most ${room}: the model's maxLength is ${maxLength}${further}`;
  check('maxNewTokens', maxNewTokens, (n) => n <= room, most);
  const maxSequences = maxCacheRows(model.device);
  checkEach(settings, maxSequences);
  checkTokens('generate', 'a stop token', settings.stopTokens, model);
  checkTogether(settings, options, model, left);
  const prefixes = prefixesOf(options.prefix, inputs.length);
  checkTokens('generate', 'a token of prefix', prefixes.flat(), model);
  const forced = longest(prefixes);
  if (forced > maxNewTokens) refuse(`prefix has ${forced} tokens, but maxNewTokens is ${maxNewTokens}`);
  const names = [...Object.keys(settings), 'prefix', 'signal', 'onToken'] as (keyof GenerateOptions)[];
  checkKnown('generate', options, names);
  const width = numBeams > 1 ? numBeams : numReturnSequences;
  return {
    inputs: inputs.map((tokens, index) => ({
      index,
      tokens,
      prompt: prompts[index] as readonly number[],
      prefix: prefixes[index] as readonly number[],
    })),
    width,
    group: maxSourceLength > 0 || numBeams > 1 ? width : 1,
    vocabulary: model.vocabSize,
    maxRanked: maxTopK(model.device),
    maxSequences,
    ...settings,
  };
}

function settingsOf(model: Generative, options: GenerateOptions, room: number): Settings {
  const { stop, stopTokens = model.endIds, ...others } = options;
  if (!isList(stopTokens)) refuse(`stopTokens is ${describeValue(stopTokens)}, expected an array of tokens`);
  return withDefaults<Settings>(others, {
    numBeams: 1,
    numReturnSequences: 1,
    doSample: false,
    earlyStopping: false,
    temperature: 1,
    topK: 0,
    topP: 1,
    minP: 0,
    seed: 0,
    lengthPenalty: 1,
    repetitionPenalty: 1,
    noRepeatNgramSize: 0,
    logitsProcessors: [],
    outputAttentions: false,
    maxNewTokens: Math.min(256, room),
    minNewTokens: 0,
    cropContext: false,
    stop: stop && ((tokens: readonly number[]) => checkSynchronous('generate: stop', stop(tokens))), // a promise is true
    stopTokens: new Set(stopTokens),
    batchSize: 64,
  });
}

function refuse(message: string): never {
  throw new ArgumentError(`generate: ${message}`);
}

function check(name: string, value: number, accepts: (value: number) => boolean, expected: string): void {
  checkNumber('generate', name, value, accepts, expected);
}

export function checkTokens(
  op: string,
  name: string,
  tokens: Iterable<number>,
  { vocabSize }: Pick<Generative, 'vocabSize'>,
): void {
  const isToken = (id: number) => isWhole(id) && id < vocabSize;
  for (const id of tokens) checkNumber(op, name, id, isToken, `a token below ${vocabSize}`);
}

function checkEach(settings: Settings, maxSequences: number): void {
  const { numBeams, maxNewTokens, earlyStopping, doSample, cropContext, outputAttentions } = settings;
  check('numBeams', numBeams, (n) => isCount(n) && n <= maxSequences, `an integer from 1 to ${maxSequences}`);
  check('batchSize', settings.batchSize, isCount, 'a positive integer');
  check('numReturnSequences', settings.numReturnSequences, isCount, 'a positive integer');
  const isMinimum = (n: number) => isWhole(n) && n <= maxNewTokens;
  check('minNewTokens', settings.minNewTokens, isMinimum, `0 to maxNewTokens, ${maxNewTokens}`);
  check('lengthPenalty', settings.lengthPenalty, Number.isFinite, 'a finite number');
  check('temperature', settings.temperature, isPositive, 'a positive number');
  check('topK', settings.topK, isWhole, 'an integer, 0 or more');
  check('topP', settings.topP, (p) => p > 0 && p <= 1, 'a number above 0, at most 1');
  check('minP', settings.minP, (p) => p >= 0 && p <= 1, 'a number from 0 to 1');
  check('seed', settings.seed, isSeed, SEED);
  check('repetitionPenalty', settings.repetitionPenalty, isPositive, 'a positive number');
  check('noRepeatNgramSize', settings.noRepeatNgramSize, isWhole, 'an integer, 0 or more');
  checkOneOf('generate', 'earlyStopping', earlyStopping, [true, false, 'never']);
  for (const [name, value] of Object.entries({ doSample, cropContext, outputAttentions }))
    checkOneOf('generate', name, value, [true, false]);
}

/** `left` is how many tokens the model can read at once beyond the prompt. */
function checkTogether(settings: Settings, options: GenerateOptions, model: Generative, left: number): void {
  const { numBeams, numReturnSequences, doSample, temperature, topK, topP, minP } = settings;
  const { cropContext, outputAttentions, maxNewTokens } = settings;
  if (cropContext && model.maxSourceLength) refuse('cropContext needs a decoder-only model');
  if (cropContext && outputAttentions && maxNewTokens > left) refuse('outputAttentions needs outputs within maxLength');
  if (numBeams > 1 && options.onToken) refuse('onToken is given, but tokens of beams are final only at the end');
  if (numBeams > 1 && numReturnSequences > numBeams)
    refuse(`numReturnSequences is ${numReturnSequences}, but there are only ${numBeams} beams`);
  if (numBeams === 1 && !doSample && numReturnSequences > 1) refuse('numReturnSequences needs beams or doSample');
  if (!doSample && (temperature !== 1 || topK !== 0 || topP !== 1 || minP !== 0))
    refuse('temperature, topK, topP and minP need doSample: true');
}

/** What the decoder reads first: the input of a decoder-only model, elsewhere the start. */
function promptsOf({ startId, vocabSize, maxSourceLength = 0 }: Generative, inputs: readonly (readonly number[])[]) {
  if (inputs.every(({ length }) => length > 0) && maxSourceLength === 0) return inputs;
  if (startId === null || startId >= vocabSize) {
    const otherwise = maxSourceLength > 0 ? '' : ', or give prompts that are not empty';
    refuse(
      `bosId is ${startId}, but it begins outputs and targetVocab is ${vocabSize}: ` +
        `give the model, or its target tokenizer, a bosId below that${otherwise}`,
    );
  }
  return inputs.map((tokens) => (maxSourceLength > 0 || tokens.length === 0 ? [startId] : tokens));
}

/** The length of the longest. */
export function longest(sequences: readonly (readonly number[])[]): number {
  return sequences.reduce((most, { length }) => Math.max(most, length), 0);
}

/** The prefix of each input. */
function prefixesOf(prefix: GenerateOptions['prefix'] = [], count: number): readonly (readonly number[])[] {
  const isOfEach = isList(prefix) && prefix.every((own) => isList(own));
  if (!isList(prefix) || (!isOfEach && prefix.some((token) => typeof token !== 'number')))
    refuse('prefix is neither an array of tokens nor one of such arrays');
  if (prefix.length === 0 || !isOfEach) {
    const shared = Array.from(prefix as readonly number[]);
    return Array.from({ length: count }, () => shared);
  }
  if (prefix.length !== count) refuse(`prefix has ${prefix.length} rows, but there are ${count} inputs`);
  return prefix.map((own) => Array.from(own as readonly number[]));
}
