// The settings for generation of generation_config.json, or of config.json in folders that are older than that file.

import { describeValue } from '../core/check.js';
import { FormatError } from '../core/errors.js';
import type { GenerateOptions } from '../generate/generate-options.js';
import { type AnyRow, OPTION_ROWS } from '../generate/option-table.js';
import type { Config } from './config.js';

/** A file's settings, which are read one by one. */
interface Settings {
  /** generation_config.json, or config.json where that is missing. */
  readonly from: Config;
  /** The name of that file. */
  readonly where: string;
  /** config.json, for special tokens that the file does not name. */
  readonly config: Config;
}

/**
 * Options of `generate` from a folder: those of generation_config.json (`file`), or else of config.json. Defaults are
 * those of transformers, except for the length. Missing special tokens come from config.json. Tokens beyond the
 * vocabulary, which the model never chooses, are left out where they end a sequence or are forbidden. Throws
 * FormatError for values of the wrong kind.
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

/** The value of a row's setting; undefined if the row has no setting, or neither the file nor transformers has a value. */
function settingValue({ from, where }: Settings, { huggingFace, group, default: ownDefault }: AnyRow): unknown {
  if (huggingFace === undefined) return undefined;
  const { name, default: fallback = ownDefault } = huggingFace;
  const value = from[name];
  if (value == null) return group === 'lengths' ? undefined : fallback; // a length has two names
  return read(name, value, fallback, where);
}

/**
 * The value of a setting, which must be of the kind of `fallback`: a number, a boolean, tokens, or lists of tokens.
 * Limits are checked at each call, because other libraries accept settings that have no effect there.
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

/** The tokens of a special token's setting, of config.json if the file does not name it. */
function specialTokens({ from, where, config }: Settings, name: string): number[] {
  return read(name, from[name] ?? config[name] ?? [], null, where) as number[];
}

/** Settings of transformers that change outputs, with the values that change nothing. Options of the table are followed. */
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
  const followed = new Set(OPTION_ROWS.map(([, { huggingFace }]) => huggingFace?.name));
  const isIgnored = (name: string) => file[name] != null && file[name] !== UNFOLLOWED[name] && !followed.has(name);
  return Object.keys(UNFOLLOWED).filter(isIgnored);
}

/**
 * Tokens of `forced_decoder_ids`, which has pairs of a position after the start and a token. The list ends at the first
 * position that is missing or null, where the model chooses. Without them, a Whisper of one language writes no times.
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
