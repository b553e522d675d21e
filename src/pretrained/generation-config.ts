// Reads settings for generation from generation_config.json, or from config.json in older folders without that file.

import { describeValue } from '../core/check.js';
import { FormatError } from '../core/errors.js';
import type { GenerateOptions } from '../generate/generate-options.js';
import { type AnyRow, OPTION_ROWS } from '../generate/option-table.js';
import type { Config } from './config.js';

/** The settings of a file, and where missing ones come from. */
interface Settings {
  /** The content of generation_config.json, or of config.json if that file is missing. */
  readonly from: Config;
  /** Name of that file, for errors. */
  readonly where: string;
  /** The content of config.json, for special tokens that the file does not name. */
  readonly config: Config;
}

/**
 * Returns the options of `generate` of a folder: those of generation_config.json (`file`), or else of config.json.
 * Defaults are those of transformers, except for the length. Missing special tokens come from config.json. Stop tokens
 * and forbidden tokens beyond the vocabulary are dropped, because the model never chooses them. Throws FormatError for
 * values of the wrong type.
 */
export function generationOptions(
  file: Config | null,
  config: Config,
  { vocabSize, encoder }: { readonly vocabSize: number; readonly encoder: object | null },
): GenerateOptions {
  const where = file === null ? 'config.json' : 'generation_config.json';
  const settings: Settings = { from: file ?? config, where, config };
  const rows = OPTION_ROWS.flatMap(([name, row]) => {
    const value = settingValue(settings, row);
    return value === undefined ? [] : [[name, value] as const];
  });
  const options: GenerateOptions = Object.fromEntries(rows);
  const known = (tokens: readonly number[]) => tokens.filter((token) => token >= 0 && token < vocabSize);
  for (const name of ['suppressTokens', 'beginSuppressTokens'] as const)
    options[name] = known(options[name] as readonly number[]); // Whisper's [-1] means none
  options.stopTokens = known(specialTokens(settings, 'eos_token_id'));
  const prefix = prefixOf(settings.from);
  if (prefix.length > 0) options.prefix = prefix;
  const [first = null] = specialTokens(settings, 'bos_token_id');
  const [ofDecoder = first] = specialTokens(settings, 'decoder_start_token_id');
  const start = encoder === null ? first : ofDecoder;
  if (start !== null) options.decoderStartTokenId = start;
  return options;
}

/**
 * Returns the value of a row's setting. Undefined if the row has no setting, or if neither the file nor transformers
 * has a value.
 */
function settingValue({ from, where }: Settings, { huggingFace, category, default: ownDefault }: AnyRow): unknown {
  if (huggingFace === undefined) return undefined;
  const { name, default: fallback = ownDefault } = huggingFace;
  const value = from[name];
  if (value == null) return category === 'lengths' ? undefined : fallback; // a length has two names
  return read(name, value, fallback, where);
}

/**
 * Reads the value of a setting, which must have the type of `fallback`: a number, a boolean, tokens, or lists of
 * tokens. Limits are not checked here but in each call of `generate`, because other libraries accept settings that have
 * no effect there.
 */
function read(name: string, value: unknown, fallback: unknown, where: string): unknown {
  const refuse = (expected: string): never => {
    throw new FormatError(`${where}: ${name} is ${describeValue(value)}, expected ${expected}`);
  };
  const isTokens = (list: unknown): list is number[] => Array.isArray(list) && list.every(Number.isInteger);
  if (name === 'bad_words_ids') {
    const isWords = Array.isArray(value) && value.every((word) => isTokens(word) && word.length > 0);
    return isWords ? value : refuse('lists of tokens');
  }
  if (name.endsWith('token_id')) {
    const tokens = [value].flat();
    if (!isTokens(tokens)) return refuse('ids of tokens');
    return name === 'forced_bos_token_id' ? (tokens[0] ?? null) : tokens;
  }
  if (Array.isArray(fallback)) {
    const tokens = [value].flat();
    return isTokens(tokens) ? tokens : refuse('ids of tokens');
  }
  if (name === 'early_stopping' && value === 'never') return value;
  if (typeof fallback === 'boolean') return typeof value === 'boolean' ? value : refuse('true or false');
  return typeof value === 'number' && Number.isFinite(value) ? value : refuse('a number');
}

/** Returns the tokens of a special token's setting. It is read from config.json if the file does not have it. */
function specialTokens({ from, where, config }: Settings, name: string): number[] {
  return read(name, from[name] ?? config[name] ?? [], null, where) as number[];
}

/**
 * Settings of transformers that change outputs and that `generate` ignores, with their neutral values. One that gets a
 * row in the option table is no longer ignored.
 */
const IGNORED_SETTINGS: Readonly<Record<string, unknown>> = {
  constraints: null,
  dola_layers: null,
  exponential_decay_length_penalty: null,
  force_words_ids: null,
  guidance_scale: 1,
  penalty_alpha: 0,
  renormalize_logits: false,
  sequence_bias: null,
  stop_strings: null,
  watermarking_config: null,
};

/** Returns the names of the settings in a file that `generate` ignores. */
export function ignoredSettings(file: Config): string[] {
  const followed = new Set(OPTION_ROWS.map(([, { huggingFace }]) => huggingFace?.name));
  const isIgnored = (name: string) =>
    file[name] != null && file[name] !== IGNORED_SETTINGS[name] && !followed.has(name);
  return Object.keys(IGNORED_SETTINGS).filter(isIgnored);
}

/**
 * Returns the tokens of `forced_decoder_ids`, which has pairs of a position after the start and a token. The list ends
 * at the first position that is missing or null, because the model chooses there. Without the setting, a Whisper model
 * for a single language gets the token that turns timestamps off.
 */
function prefixOf({
  forced_decoder_ids: pairs,
  is_multilingual: isMultilingual,
  no_timestamps_token_id: noTimes,
}: Config): number[] {
  const forced = new Map(
    Array.isArray(pairs) ? pairs.filter(Array.isArray).map(([position, token]) => [position, token] as const) : [],
  );
  const prefix: number[] = [];
  for (let token = forced.get(1); Number.isInteger(token); token = forced.get(prefix.length + 1))
    prefix.push(token as number);
  if (prefix.length === 0 && isMultilingual === false && Number.isInteger(noTimes)) prefix.push(noTimes as number);
  return prefix;
}
