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
import type { Tensor } from '../core/tensor.js';
import { CACHE_TYPES, type CacheType, maxCacheRows } from '../ops/kv-cache.js';
import { maxTopK } from '../ops/top-k.js';
import type { CachedText, FinishReason, GenerateOptions } from './generate-options.js';
import type { Generative } from './generative.js';
import { lengthsOf } from './lengths.js';

/** A sequence on its way. */
export interface Hypothesis {
  readonly tokens: readonly number[];
  readonly logProbabilities: readonly number[];
  readonly score: number;
  readonly reason: FinishReason;
}

/** One of the sources that a tensor on the device has, [sources, …], and how many elements it has. */
export interface DeviceSource {
  readonly of: Tensor;
  readonly length: number;
}

/** Ids of tokens, or features, which stay on the device as long as all sources are in one batch. */
export type Source = readonly number[] | Float32Array | DeviceSource;

/** One input, and what its outputs begin with. */
export interface PlannedInput {
  /** Its place among all inputs. */
  readonly index: number;
  /** The source, or the prompt of a decoder-only model. */
  readonly tokens: Source;
  /** What the decoder reads first. */
  readonly prompt: readonly number[];
  readonly prefix: readonly number[];
}

type NotPlanned =
  | ('stop' | 'signal' | 'onToken' | 'prefix' | 'stopTokens' | 'cache' | 'draft' | 'responseFormat')
  | ('maxLength' | 'minLength' | 'decoderStartTokenId' | 'forcedEosTokenId');

/** Options with defaults, and what they mean for the inputs. */
export interface Plan extends Complete<Omit<GenerateOptions, NotPlanned>> {
  readonly stop: ((tokens: readonly number[]) => boolean) | undefined;
  /** What keys and values are kept as. */
  readonly cacheType: CacheType;
  /** What may be forced as the last token; [] if nothing is. */
  readonly forcedEosTokenId: readonly number[];
  readonly stopTokens: ReadonlySet<number>;
  readonly inputs: readonly PlannedInput[];
  /** Of each source, where sources are features, or what was encoded of them; else null. */
  readonly sourceShape: readonly number[] | null;
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
type Settings = Omit<Plan, 'inputs' | 'sourceShape' | 'width' | 'group' | OfEngine>;
type OfEngine = 'vocabulary' | 'maxRanked' | 'maxSequences' | 'cacheType';

/** Checks options. `inputs` are sources, of `sourceShape` if they are numbers, or prompts of a decoder-only model. */
export function resolveOptions(
  model: Generative,
  inputs: readonly Source[],
  options: GenerateOptions,
  sourceShape: readonly number[] | null = null,
): Plan {
  const { maxSourceLength = 0 } = model;
  const { draft } = options;
  const { cache, cacheType } = cacheOf(model, options);
  const maxLength = Math.min(model.maxLength, cache?.maxLength ?? model.maxLength);
  const prompts = promptsOf(model, inputs, options.decoderStartTokenId ?? model.startId);
  const left = maxLength - longest(prompts) + 1;
  const room = options.cropContext ? Number.MAX_SAFE_INTEGER : left;
  if (room < 1) refuse(`a prompt is longer than the model's maxLength, ${maxLength}`);
  const settings = settingsOf(model, options, lengthsOf(model, options, longest(prompts), room));
  const { numBeams, numReturnSequences, maxNewTokens } = settings;
  check('maxNewTokens', maxNewTokens, isCount, 'a positive integer');
  const further = maxSourceLength > 0 ? '' : '; cropContext: true goes on beyond it';
  const most = `at most ${room}: the model's maxLength is ${maxLength}${further}`;
  check('maxNewTokens', maxNewTokens, (n) => n <= room, most);
  const maxSequences = maxCacheRows(model.device);
  checkEach(settings, maxSequences);
  checkAllTokens(settings, model);
  checkTogether(settings, options, model, left);
  if (cache || draft) checkOneSequence(settings, cache, inputs.length);
  const prefixes = prefixesOf(options.prefix, inputs.length);
  checkTokens('generate', 'a token of prefix', prefixes.flat(), model);
  const forced = longest(prefixes);
  if (forced > maxNewTokens) refuse(`prefix has ${forced} tokens, but maxNewTokens is ${maxNewTokens}`);
  const others = [
    'prefix',
    'signal',
    'onToken',
    'maxLength',
    'minLength',
    'decoderStartTokenId',
    'cache',
    'draft',
  ] as const;
  const names = [...(Object.keys(settings) as (keyof GenerateOptions)[]), ...others];
  checkKnown('generate', options, names);
  const width = numBeams > 1 ? numBeams : numReturnSequences;
  return {
    inputs: inputs.map((tokens, index) => ({
      index,
      tokens,
      prompt: prompts[index] as readonly number[],
      prefix: prefixes[index] as readonly number[],
    })),
    sourceShape,
    width,
    group: maxSourceLength > 0 || numBeams > 1 ? width : 1,
    vocabulary: model.vocabSize,
    maxRanked: maxTopK(model.device),
    maxSequences,
    cacheType,
    ...settings,
    ...(draft ? { batchSize: 1 } : {}),
  };
}

function settingsOf(
  model: Generative,
  options: GenerateOptions,
  lengths: Pick<Settings, 'maxNewTokens' | 'minNewTokens'>,
): Settings {
  const { stop, stopTokens = model.endIds, forcedEosTokenId: forced, ...others } = options;
  for (const [name, tokens] of Object.entries({
    stopTokens,
    suppressTokens: others.suppressTokens ?? [],
    beginSuppressTokens: others.beginSuppressTokens ?? [],
  }))
    if (!isList(tokens)) refuse(`${name} is ${describeValue(tokens)}, expected an array of tokens`);
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
    badWordsIds: [],
    forcedBosTokenId: null,
    forcedEosTokenId: forced == null ? [] : isList(forced) ? Array.from(forced) : [forced as number],
    suppressTokens: [],
    beginSuppressTokens: [],
    logitsProcessors: [],
    outputAttentions: false,
    ...lengths,
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

function checkAllTokens(settings: Settings, model: Generative): void {
  const { stopTokens, suppressTokens, beginSuppressTokens, badWordsIds, forcedBosTokenId, forcedEosTokenId } = settings;
  const isWord = (word: unknown) => isList(word) && word.length > 0;
  if (!Array.isArray(badWordsIds) || !badWordsIds.every(isWord))
    refuse(`badWordsIds is ${describeValue(badWordsIds)}, expected arrays of tokens, none of them empty`);
  checkTokens('generate', 'a stop token', stopTokens, model);
  checkTokens('generate', 'a token of suppressTokens', suppressTokens, model);
  checkTokens('generate', 'a token of beginSuppressTokens', beginSuppressTokens, model);
  checkTokens('generate', 'a token of badWordsIds', badWordsIds.flat(), model);
  checkTokens('generate', 'forcedBosTokenId', forcedBosTokenId === null ? [] : [forcedBosTokenId], model);
  checkTokens('generate', 'forcedEosTokenId', forcedEosTokenId, model);
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

/** What was read before, if anything, and what keys and values are kept as. */
function cacheOf({ cacheType = 'float32' }: Generative, { cache }: GenerateOptions) {
  if (cache === undefined || CACHE_TYPES.some((type) => type === cache))
    return { cacheType: (cache as CacheType | undefined) ?? cacheType };
  if (typeof cache === 'object' && cache !== null) return { cache, cacheType };
  refuse(`cache is ${describeValue(cache)}, expected a PromptCache, or one of ${CACHE_TYPES.join(', ')}`);
}

function checkOneSequence(settings: Settings, cache: CachedText | undefined, inputs: number): void {
  const { numBeams, numReturnSequences, cropContext } = settings;
  const what = cache ? 'cache' : 'draft';
  if (numBeams > 1 || numReturnSequences > 1) refuse(`${what} needs one sequence: numBeams 1 and numReturnSequences 1`);
  if (cropContext) refuse(`${what} needs a context within maxLength: cropContext false`);
  if (cache && inputs > 1) refuse(`cache is of one text, but there are ${inputs} inputs`);
}

/** What the decoder reads first: the input of a decoder-only model, elsewhere the start. */
function promptsOf({ vocabSize, maxSourceLength = 0 }: Generative, inputs: readonly Source[], startId: number | null) {
  const isPrompts = (all: readonly Source[]): all is readonly (readonly number[])[] => maxSourceLength === 0;
  if (isPrompts(inputs) && inputs.every(({ length }) => length > 0)) return inputs;
  if (startId === null || startId >= vocabSize) {
    const otherwise = maxSourceLength > 0 ? '' : ', or give prompts that are not empty';
    refuse(
      `bosId is ${startId}, but it begins outputs and targetVocab is ${vocabSize}: ` +
        `give the model, or its target tokenizer, a bosId below that${otherwise}`,
    );
  }
  return isPrompts(inputs)
    ? inputs.map((tokens) => (tokens.length === 0 ? [startId] : tokens))
    : inputs.map(() => [startId]);
}

/** The length of the longest. */
export function longest(sequences: readonly { readonly length: number }[]): number {
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
