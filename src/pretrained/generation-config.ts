// What generation_config.json says about generating; before there was such a file, config.json said it.

import { describeValue } from '../core/check.js';
import { FormatError } from '../core/errors.js';
import type { GenerateOptions } from '../generate/generate-options.js';
import type { Config } from './config.js';

/** How a model wants to generate, with the defaults of transformers, but for the length. Null where nothing is set. */
export interface GenerationSettings {
  /** Whichever comes first ends a sequence. */
  readonly endTokens: readonly number[];
  readonly startToken: number | null;
  readonly padToken: number | null;
  /** With what a decoder beside an encoder begins. */
  readonly decoderStartToken: number | null;
  /** The first token after that: a target language. */
  readonly forcedStartToken: number | null;
  /** Tokens that follow the start before any is chosen: Whisper's task. */
  readonly prefix: readonly number[];
  /** The last one, where the length ends a sequence. */
  readonly forcedEndTokens: readonly number[];
  /** Never chosen. */
  readonly suppressTokens: readonly number[];
  /** Not chosen as the first one. */
  readonly beginSuppressTokens: readonly number[];
  /** Tokens in sequences that are never chosen. */
  readonly badWords: readonly (readonly number[])[];
  /** Of the prompt and what follows it; `maxNewTokens` counts more. */
  readonly maxLength: number | null;
  readonly maxNewTokens: number | null;
  readonly minLength: number;
  readonly minNewTokens: number | null;
  readonly sample: boolean;
  readonly temperature: number;
  /** 0 for all. */
  readonly topK: number;
  readonly topP: number;
  readonly minP: number | null;
  readonly repetitionPenalty: number;
  readonly noRepeatNgramSize: number;
  readonly numBeams: number;
  readonly lengthPenalty: number;
  /** Whether a beam search ends once it has as many sequences as beams; `never` if only when none can become better. */
  readonly earlyStopping: boolean | 'never';
  readonly numReturnSequences: number;
}

/**
 * Reads generation_config.json, `file`, or where there is none the settings for generating in config.json. Special tokens that the file does
 * not name are config.json's. Throws FormatError for values of the wrong kind.
 */
export function generationSettings(file: Config | null, config: Config): GenerationSettings {
  const from = file ?? config;
  const where = file === null ? 'config.json' : 'generation_config.json';
  const refuse = (name: string, value: unknown, expected: string): never => {
    throw new FormatError(`${where}: ${name} is ${describeValue(value)}, expected ${expected}`);
  };
  const number = <T>(name: string, fallback: T): number | T => {
    const value = from[name];
    if (value == null) return fallback;
    return typeof value === 'number' && Number.isFinite(value) ? value : refuse(name, value, 'a number');
  };
  const ids = (name: string, isSpecial = false): number[] => {
    const value = from[name] ?? (isSpecial ? config[name] : undefined) ?? [];
    const list = Array.isArray(value) ? value : [value];
    return list.every((id) => Number.isInteger(id)) ? list : refuse(name, value, 'ids of tokens');
  };
  const id = (name: string) => ids(name, true)[0] ?? null;
  const flag = (name: string): boolean => {
    const value = from[name] ?? false;
    return typeof value === 'boolean' ? value : refuse(name, value, 'true or false');
  };
  const badWords = from.bad_words_ids ?? [];
  const isWord = (word: unknown) =>
    Array.isArray(word) && word.length > 0 && word.every((token) => Number.isInteger(token));
  if (!Array.isArray(badWords) || !badWords.every(isWord)) refuse('bad_words_ids', badWords, 'lists of tokens');
  return {
    endTokens: ids('eos_token_id', true),
    startToken: id('bos_token_id'),
    padToken: id('pad_token_id'),
    decoderStartToken: id('decoder_start_token_id'),
    forcedStartToken: ids('forced_bos_token_id')[0] ?? null,
    prefix: prefixOf(from),
    forcedEndTokens: ids('forced_eos_token_id'),
    suppressTokens: ids('suppress_tokens').filter((token) => token >= 0), // Whisper's [-1] means none
    beginSuppressTokens: ids('begin_suppress_tokens'),
    badWords: badWords as number[][],
    maxLength: number('max_length', null),
    maxNewTokens: number('max_new_tokens', null),
    minLength: number('min_length', 0),
    minNewTokens: number('min_new_tokens', null),
    sample: flag('do_sample'),
    temperature: number('temperature', 1),
    topK: number('top_k', 50),
    topP: number('top_p', 1),
    minP: number('min_p', null),
    repetitionPenalty: number('repetition_penalty', 1),
    noRepeatNgramSize: number('no_repeat_ngram_size', 0),
    numBeams: number('num_beams', 1),
    lengthPenalty: number('length_penalty', 1),
    earlyStopping: from.early_stopping === 'never' ? 'never' : flag('early_stopping'),
    numReturnSequences: number('num_return_sequences', 1),
  };
}

/** Settings of transformers' that change what is written and have no option here, with the values that change nothing. */
const UNFOLLOWED: Readonly<Record<string, unknown>> = {
  constraints: null,
  diversity_penalty: 0,
  dola_layers: null,
  encoder_no_repeat_ngram_size: 0,
  encoder_repetition_penalty: 1,
  epsilon_cutoff: 0,
  eta_cutoff: 0,
  exponential_decay_length_penalty: null,
  force_words_ids: null,
  guidance_scale: 1,
  num_beam_groups: 1,
  penalty_alpha: 0,
  renormalize_logits: false,
  sequence_bias: null,
  stop_strings: null,
  top_h: null,
  typical_p: 1,
  watermarking_config: null,
};

/** The names of settings in a file that `generate` does not follow. */
export function unfollowed(file: Config): string[] {
  return Object.keys(UNFOLLOWED).filter((name) => file[name] != null && file[name] !== UNFOLLOWED[name]);
}

/**
 * `forced_decoder_ids`, pairs of a place after the start and a token, up to the first that is missing or null, which is
 * the model's choice; a Whisper of one language without them writes no times.
 */
function prefixOf({
  forced_decoder_ids: pairs,
  is_multilingual: isMultilingual,
  no_timestamps_token_id: noTimes,
}: Config): number[] {
  const forced = new Map(
    Array.isArray(pairs) ? pairs.filter(Array.isArray).map(([place, token]) => [place, token] as const) : [],
  );
  const prefix: number[] = [];
  for (let token = forced.get(1); Number.isInteger(token); token = forced.get(prefix.length + 1))
    prefix.push(token as number);
  if (prefix.length === 0 && isMultilingual === false && Number.isInteger(noTimes)) prefix.push(noTimes as number);
  return prefix;
}

/**
 * The settings as options of `generate`. Of tokens that the model does not have, none is chosen anyway: they are left
 * out where they end a sequence or are forbidden.
 */
export function generationOptions(
  settings: GenerationSettings,
  { vocabSize, encoder }: { readonly vocabSize: number; readonly encoder: object | null },
): GenerateOptions {
  const known = (ids: readonly number[]) => ids.filter((id) => id < vocabSize);
  const { startToken, decoderStartToken } = settings;
  const start = encoder === null ? startToken : (decoderStartToken ?? startToken);
  const options: GenerateOptions = {
    stopTokens: known(settings.endTokens),
    forcedBosTokenId: settings.forcedStartToken,
    ...(settings.prefix.length > 0 ? { prefix: settings.prefix } : {}),
    forcedEosTokenId: settings.forcedEndTokens,
    suppressTokens: known(settings.suppressTokens),
    beginSuppressTokens: known(settings.beginSuppressTokens),
    badWordsIds: settings.badWords,
    maxLength: settings.maxLength ?? undefined,
    maxNewTokens: settings.maxNewTokens ?? undefined,
    minLength: settings.minLength,
    minNewTokens: settings.minNewTokens ?? undefined,
    doSample: settings.sample,
    temperature: settings.temperature,
    topK: settings.topK,
    topP: settings.topP,
    minP: settings.minP ?? 0,
    repetitionPenalty: settings.repetitionPenalty,
    noRepeatNgramSize: settings.noRepeatNgramSize,
    numBeams: settings.numBeams,
    lengthPenalty: settings.lengthPenalty,
    earlyStopping: settings.earlyStopping,
    numReturnSequences: settings.numReturnSequences,
  };
  return start === null ? options : { ...options, decoderStartTokenId: start };
}
