// `generate` of transformers.js.

import { checkOptions, orNull } from '../../core/check.js';
import { ArgumentError } from '../../core/errors.js';
import type { GenerateOptions } from '../../generate/generate-options.js';
import type { Tokens } from '../../nn/token-batch.js';
import type { LoadedModel } from '../../pretrained/load-later.js';
import { type GenerationArguments, generationArguments } from '../generation-arguments.js';
import type { HostTensor } from '../host-tensor.js';
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
}

/** See `TransformersModel.generate`. */
export async function write(
  model: LoadedModel,
  options: TransformersGenerateOptions,
): Promise<HostTensor<BigInt64Array>> {
  const entries = Object.entries(checkOptions('generate', options));
  const given = hostInputs('generate', model, Object.fromEntries(entries.filter(([name]) => isInputName(name))));
  const { streamer, language, task, return_timestamps, ...rest } = Object.fromEntries(
    entries.filter(([name]) => !isInputName(name)),
  ) as Omit<TransformersGenerateOptions, keyof TransformersInputs>;
  const generate = generationArguments('generate', model, rest, []);
  checkOptions('generate', { streamer }, { streamer: STREAMER });
  const start = await startOf(model, given, { language, task, return_timestamps });
  const { input, release } = await sourceOf(model, given);
  try {
    const prompts = model.encoder === null ? rowsOf('input_ids', given.get('input_ids')) : [];
    const before = (row: number) => prompts[row] ?? [start.decoderStartTokenId ?? model.startId ?? 0];
    streamer?.put([before(0)]);
    const { sequences, stopTokens, inputs } = await model.generate(input, {
      ...generate,
      ...start,
      ...lengths(generate, start),
      logitsProcessors: [...(start.logitsProcessors ?? []), ...(generate.logitsProcessors ?? [])],
      onToken: streamer && (({ token }) => streamer.put([[token]])),
    });
    const [end] = stopTokens;
    if (end != null) streamer?.put([[end]]);
    streamer?.end();
    const rows = sequences.map((sequence, i) => [...sequence, ...[stopTokens[i] ?? []].flat()]);
    const longest = rows.reduce((max, { length }) => Math.max(max, length), 0);
    const pad = model.padId ?? model.endIds[0] ?? 0;
    return int64(
      rows.map((row, i) => [...before(inputs[i] as number), ...row, ...Array<number>(longest - row.length).fill(pad)]),
    );
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
