// `generate` of transformers.js.

import { checkOptions, type OptionRule, orNull } from '../../core/check.js';
import { ArgumentError } from '../../core/errors.js';
import type { GenerateOptions } from '../../generate/generate-options.js';
import { PromptCache } from '../../generate/prompt-cache.js';
import type { Tokens } from '../../nn/token-batch.js';
import type { LoadedModel } from '../../pretrained/load-later.js';
import { type GenerationArguments, generationArguments } from '../generation-arguments.js';
import type { HostTensor } from '../host-tensor.js';
import { STOPPING, type StoppingCriteria, stopOf } from '../stopping-criteria.js';
import { STREAMER, type Streamer } from '../text-streamer.js';
import { int64 } from './auto-tokenizer.js';
import {
  type HostInputs,
  hasImagePrompts,
  hostInputs,
  imagePrompts,
  isInputName,
  MEDIA,
  promptRows,
  rowsOf,
  type TransformersInputs,
} from './model-inputs.js';
import type { WhisperOptions } from './whisper-start.js';

export interface TransformersGenerateOptions extends GenerationArguments, TransformersInputs, WhisperOptions {
  /** Receives tokens as they are generated, for a single input without beams; see `TextStreamer`. */
  streamer?: Streamer | undefined;
  /** Conditions that end the generation, such as `new InterruptableStoppingCriteria()`, or a list. */
  stopping_criteria?: StoppingCriteria | readonly StoppingCriteria[] | undefined;
  /** The text that a decoder has read, as a former call returned it. It may differ from the prompt's beginning. */
  past_key_values?: PromptCache | null | undefined;
  /** True returns an object with `sequences` and `past_key_values`. Default: false. */
  return_dict_in_generate?: boolean | undefined;
}

/** The result of `generate` with `return_dict_in_generate`. */
export interface GeneratedSequences {
  readonly sequences: HostTensor<BigInt64Array>;
  /** The text that the model has read; null for models with an encoder, several prompts, beams, or images. */
  readonly past_key_values: PromptCache | null;
}

const PAST: OptionRule = {
  accepts: (value) => value === null || value instanceof PromptCache,
  expected: 'the past_key_values of a former call, or null',
};

/** True for calls whose text can be kept. */
const canKeep = (model: LoadedModel, given: HostInputs, prompts: readonly unknown[], options: GenerateOptions) =>
  model.encoder === null &&
  prompts.length === 1 &&
  (options.numBeams ?? 1) === 1 &&
  (options.numReturnSequences ?? 1) === 1 &&
  !hasImagePrompts(model, given);

/** See `TransformersModel.generate`. */
export async function write(
  model: LoadedModel,
  options: TransformersGenerateOptions,
): Promise<HostTensor<BigInt64Array> | GeneratedSequences> {
  const entries = Object.entries(checkOptions('generate', options));
  const given = hostInputs('generate', model, Object.fromEntries(entries.filter(([name]) => isInputName(name))));
  const { streamer, stopping_criteria, past_key_values, return_dict_in_generate, ...others } = Object.fromEntries(
    entries.filter(([name]) => !isInputName(name)),
  ) as Omit<TransformersGenerateOptions, keyof TransformersInputs>;
  const { language, task, return_timestamps, ...rest } = others;
  const generate = generationArguments('generate', model, rest, []);
  checkOptions(
    'generate',
    { streamer, stopping_criteria, past_key_values, return_dict_in_generate },
    {
      streamer: STREAMER,
      stopping_criteria: STOPPING,
      past_key_values: PAST,
      return_dict_in_generate: 'boolean',
    },
  );
  const start = await startOf(model, given, { language, task, return_timestamps });
  const { input, release } = await sourceOf(model, given);
  try {
    const prompts = model.encoder === null ? rowsOf('input_ids', given.get('input_ids')) : [];
    const before = (row: number) => prompts[row] ?? [start.decoderStartTokenId ?? model.startId ?? 0];
    const keeps = canKeep(model, given, prompts, { ...model.generationConfig, ...generate });
    const cache = past_key_values ?? (return_dict_in_generate && keeps ? new PromptCache(model) : undefined);
    streamer?.put([before(0)]);
    const { sequences, stopTokens, inputs } = await model.generate(input, {
      ...generate,
      ...start,
      ...lengths(generate, start),
      logitsProcessors: [...(start.logitsProcessors ?? []), ...(generate.logitsProcessors ?? [])],
      ...(cache && { cache }),
      ...(stopping_criteria && { stop: stopOf(stopping_criteria, prompts.length > 1 ? [] : before(0), generate.stop) }),
      onToken: streamer && (({ token }) => streamer.put([[token]])),
    });
    const [end] = stopTokens;
    if (end != null) streamer?.put([[end]]);
    streamer?.end();
    const rows = sequences.map((sequence, i) => [...sequence, ...[stopTokens[i] ?? []].flat()]);
    const longest = rows.reduce((max, { length }) => Math.max(max, length), 0);
    const pad = model.padId ?? model.endIds[0] ?? 0;
    const padded = rows.map((row, i) => {
      const padding = Array<number>(longest - row.length).fill(pad);
      return [...before(inputs[i] as number), ...row, ...padding];
    });
    return return_dict_in_generate ? { sequences: int64(padded), past_key_values: cache ?? null } : int64(padded);
  } finally {
    release();
  }
}

/** The input of `generate`, and a function that frees it. */
interface Source {
  readonly input: Tokens;
  release(): void;
}

async function sourceOf(model: LoadedModel, given: HostInputs): Promise<Source> {
  if (hasImagePrompts(model, given)) {
    const images = await imagePrompts(model, given);
    return { input: images.prompts, release: () => images.dispose() };
  }
  if (given.has('input_ids')) return { input: promptRows(given), release: () => {} };
  const media = given.get(MEDIA.find((name) => given.has(name)) as (typeof MEDIA)[number]);
  if (media === undefined)
    throw new ArgumentError(
      `generate: there is no input that the model takes, expected input_ids or ${MEDIA.join(', ')}`,
    );
  const input = model.device.unscoped(() => model.device.tensor(media.data as Float32Array, media.dims));
  return { input, release: () => input.dispose() };
}

/** The tokens that the decoder reads before its first choice: those that are given, or Whisper's. */
async function startOf(model: LoadedModel, given: HostInputs, options: WhisperOptions): Promise<GenerateOptions> {
  checkOptions('generate', options, {
    language: orNull('string'),
    task: [null, 'transcribe', 'translate'],
    return_timestamps: 'boolean',
  });
  const tokens = given.get('decoder_input_ids');
  if (tokens !== undefined) {
    const rows = rowsOf('decoder_input_ids', tokens);
    const first = rows[0]?.[0];
    if (first === undefined || rows.some((row) => row[0] !== first))
      throw new ArgumentError('generate: decoder_input_ids differ in their first token, expected one for all rows');
    const prefixes = rows.map((row) => row.slice(1));
    return { decoderStartTokenId: first, prefix: prefixes.length === 1 ? (prefixes[0] as number[]) : prefixes };
  }
  if (model.config.model_type === 'whisper') {
    const { whisperStart } = await import('./whisper-start.js');
    return whisperStart(model, options);
  }
  const wrong = Object.entries(options).find(([, value]) => value != null && value !== false)?.[0];
  if (wrong === undefined) return {};
  throw new ArgumentError(
    `generate: ${wrong} is for Whisper, but the model is ${model.config.model_type}: leave it out`,
  );
}

/** A limit of new tokens includes the tokens of `start` here, but not in transformers.js. */
function lengths({ maxNewTokens, minNewTokens }: GenerateOptions, { prefix = [] }: GenerateOptions): GenerateOptions {
  const [first] = prefix;
  const extra = typeof first === 'object' ? first.length : prefix.length;
  return {
    ...(maxNewTokens !== undefined && { maxNewTokens: maxNewTokens + extra }),
    ...(minNewTokens !== undefined && { minNewTokens: minNewTokens + extra }),
  };
}
