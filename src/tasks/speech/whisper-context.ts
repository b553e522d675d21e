// Settings of Whisper's tokens: from generation_config.json, or from the tokenizer if that is old or missing.

import { isObject } from '../../core/check.js';
import { ArgumentError, FormatError } from '../../core/errors.js';
import { Whisper } from '../../models/families/whisper.js';
import type { LoadedModel } from '../../pretrained/load-later.js';
import { WhisperFeatureExtractor } from '../../pretrained/processors/whisper.js';
import type { PretrainedTokenizer } from '../../tokenizers/huggingface.js';
import { languageCode, languageNames } from './languages.js';
import type { TimestampTokens } from './timestamp-rules.js';

/** Output of the model: the spoken words, or their English translation. */
export type SpeechTask = 'transcribe' | 'translate';

/** A Whisper model with its tokenizer, feature extractor and settings. */
export class WhisperContext {
  readonly model: Whisper;
  readonly tokenizer: PretrainedTokenizer;
  readonly extractor: WhisperFeatureExtractor;
  readonly start: number;
  /** Token that begins the preceding text. Undefined if the tokenizer has none. */
  readonly startOfPast: number | undefined;
  readonly tokens: TimestampTokens;
  /** `precision`: seconds between two time tokens. `frameTime`: seconds of a frame of features. */
  readonly precision: number;
  readonly frameTime: number;
  /** The token of each language, by its code. Empty for English-only models. */
  readonly languages: ReadonlyMap<string, number>;
  readonly #tasks: ReadonlyMap<string, number>;
  /** Tokens that old configs force after the start token. Null: the model chooses the token. */
  readonly #forced: readonly (number | null)[];
  /** Heads whose cross-attention follows the sound. */
  readonly alignmentHeads: readonly (readonly [layer: number, head: number])[];
  readonly medianFilterWidth: number;

  /** Throws FormatError for other models than Whisper, and if files lack a needed token. */
  constructor(
    readonly task: string,
    model: LoadedModel,
  ) {
    const { tokenizer, processor, generationFile: file, config } = model;
    if (!(model instanceof Whisper))
      throw new FormatError(`${task}: the model is ${config.model_type}, expected Whisper`);
    if (tokenizer === null) throw new FormatError(`${task}: the model's folder has no tokenizer.json`);
    if (!(processor instanceof WhisperFeatureExtractor))
      throw new FormatError(`${task}: the model's folder has no preprocessor_config.json of a Whisper`);
    this.model = model;
    this.tokenizer = tokenizer;
    this.extractor = processor;
    const idOf = (key: string, token: string): number => {
      const id = file[key] ?? config[key] ?? tokenizer.tokenToId(token);
      if (typeof id === 'number' && id < model.vocabSize) return id;
      throw new FormatError(`${task}: neither generation_config.json nor tokenizer.json has ${key}, ${token}`);
    };
    this.start = idOf('decoder_start_token_id', '<|startoftranscript|>');
    const past = file.prev_sot_token_id ?? tokenizer.tokenToId('<|startofprev|>');
    this.startOfPast = typeof past === 'number' ? past : undefined;
    const noTimestamps = idOf('no_timestamps_token_id', '<|notimestamps|>');
    const maxInitial = file.max_initial_timestamp_index;
    this.tokens = {
      end: model.endIds[0] ?? idOf('eos_token_id', '<|endoftext|>'),
      noTimestamps,
      first: noTimestamps + 1,
      maxInitial: typeof maxInitial === 'number' ? maxInitial : null,
    };
    const seconds = processor.samples / processor.samplingRate;
    this.precision = seconds / model.maxSourceLength;
    this.frameTime = seconds / processor.frames;
    const isEnglish = file.is_multilingual === false;
    this.languages = isEnglish ? new Map() : languagesOf(file.lang_to_id, tokenizer);
    this.#tasks = isEnglish ? new Map() : tasksOf(file.task_to_id, tokenizer);
    this.#forced = forcedOf(file.forced_decoder_ids ?? config.forced_decoder_ids);
    this.alignmentHeads = headsOf(file.alignment_heads) ?? lastHeads(model);
    this.medianFilterWidth = typeof config.median_filter_width === 'number' ? config.median_filter_width : 7;
  }

  /**
   * Returns the code of the language to write; null if it must be detected; undefined if the model has no languages.
   * Throws ArgumentError for a language that the model does not have.
   */
  languageOf(language: string | null | undefined): string | null | undefined {
    if (language == null) {
      const [forced] = this.#forced;
      const known = [...this.languages].find(([, id]) => id === forced)?.[0];
      return this.languages.size === 0 ? undefined : (known ?? null);
    }
    const code = languageCode(this.task, language);
    if (this.languages.has(code)) return code;
    if (this.languages.size === 0 && code === 'en') return undefined;
    const has = this.languages.size === 0 ? 'only English' : [...this.languages.keys()].join(', ');
    throw new ArgumentError(`${this.task}: language is ${language}, but the model has ${has}`);
  }

  /** Tokens that the decoder reads after the start. Throws ArgumentError for a task that the model does not have. */
  prefix(language: string | undefined, task: SpeechTask | null | undefined, timestamps: boolean): number[] {
    const prefix: number[] = [];
    if (language !== undefined) {
      prefix.push(this.languages.get(language) as number);
      const forced = task == null ? this.#forced[1] : null;
      const id = forced ?? this.#tasks.get(task ?? 'transcribe');
      if (id !== undefined) prefix.push(id);
    }
    if (task === 'translate' && !this.#tasks.has(task))
      throw new ArgumentError(`${this.task}: task is translate, but the model is English-only and can only transcribe`);
    return timestamps ? prefix : [...prefix, this.tokens.noTimestamps];
  }
}

/**
 * Returns the tokens of languages: from settings such as `{ '<|de|>': 50261 }`, or known languages in the tokenizer.
 */
function languagesOf(ids: unknown, tokenizer: PretrainedTokenizer): Map<string, number> {
  if (isObject(ids))
    return new Map(Object.entries(ids).map(([token, id]) => [token.replace(/^<\||\|>$/g, ''), Number(id)]));
  return idsOf([...languageNames.keys()], tokenizer);
}

function tasksOf(ids: unknown, tokenizer: PretrainedTokenizer): Map<string, number> {
  if (isObject(ids)) return new Map(Object.entries(ids).map(([name, id]) => [name, Number(id)]));
  return idsOf(['transcribe', 'translate'], tokenizer);
}

function idsOf(names: readonly string[], tokenizer: PretrainedTokenizer): Map<string, number> {
  return new Map(
    names.flatMap((name) => {
      const id = tokenizer.tokenToId(`<|${name}|>`);
      return id === undefined ? [] : [[name, id] as const];
    }),
  );
}

/**
 * Returns the forced tokens after the start token, from pairs of position and token such as [[1, 50259], [2, 50359]].
 */
function forcedOf(pairs: unknown): (number | null)[] {
  if (!Array.isArray(pairs)) return [];
  const forced: (number | null)[] = [];
  for (const pair of pairs) {
    const [position, id] = Array.isArray(pair) ? pair : [];
    if (position === forced.length + 1) forced.push(typeof id === 'number' ? id : null);
  }
  return forced;
}

function headsOf(heads: unknown): [number, number][] | null {
  const isHead = (head: unknown) => Array.isArray(head) && head.length === 2 && head.every(Number.isInteger);
  return Array.isArray(heads) && heads.length > 0 && heads.every(isHead) ? (heads as [number, number][]) : null;
}

/** Default alignment heads: all heads in the upper half of the layers, as in openai-whisper. */
function lastHeads({ decoder: { layers } }: Whisper): [number, number][] {
  const half = Math.floor(layers.length / 2);
  return layers.flatMap(({ multiheadAttn }, layer) =>
    layer < half ? [] : Array.from({ length: multiheadAttn?.heads ?? 0 }, (_, head): [number, number] => [layer, head]),
  );
}
