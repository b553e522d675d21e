import { afterEvents } from '../backend/after-events.js';
import { anyOf, checkNumber, checkOptions, describeValue, listOf } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import { checkCallOptions } from './batches.js';
import { type GenerationArguments, generationArguments } from './generation-arguments.js';
import { follow, isSoundStream, type PartialTranscript, type SoundStream } from './speech/follow.js';
import { type ListenOptions, listen, type Sound } from './speech/listen.js';
import type { SpeechRecognitionOptions, SpeechRecognitionOutput } from './speech/recognition-options.js';
import { type SoundInput, samplesOf } from './speech/sound-inputs.js';
import { Speller } from './speech/spell.js';
import { Transcript, type TranscriptChunk } from './speech/transcript.js';
import { Listener } from './speech/whisper-settings.js';
import { PartWriter, writesParts } from './speech/write.js';
import type { Task } from './task.js';

export type {
  PartialTranscript,
  SoundInput,
  SoundStream,
  SpeechRecognitionOptions,
  SpeechRecognitionOutput,
  TranscriptChunk,
};

/**
 * Transcribes recordings of any length and rate: `{ text }` for one recording, an array for an array. Rejects with
 * ArgumentError for invalid recordings or options, FormatError for files that `decodeAudio` cannot read, and the reason of `signal`.
 *
 * A stream of samples, such as a microphone's, gives its text while it goes on. `chunk_length_s` is the maximum of seconds whose text
 * may still change, by default 10. Breaking out of the loop ends the stream.
 *
 * ```ts
 * for await (const { text, final } of transcribe(microphone)) show(text);
 * ```
 */
export interface SpeechRecognition {
  (stream: SoundStream, options?: SpeechRecognitionOptions): AsyncGenerator<PartialTranscript, void, void>;
  (recording: SoundInput, options?: SpeechRecognitionOptions): Promise<SpeechRecognitionOutput>;
  (recordings: readonly SoundInput[], options?: SpeechRecognitionOptions): Promise<SpeechRecognitionOutput[]>;
}

const OWN = [
  ...(['signal', 'onProgress', 'batchSize'] as const),
  ...(['return_timestamps', 'chunk_length_s', 'stride_length_s', 'language', 'task'] as const),
  ...([
    'return_language',
    'onText',
    'temperature',
    'condition_on_prev_tokens',
    'prompt_ids',
    'return_quality',
  ] as const),
  ...(['compression_ratio_threshold', 'logprob_threshold', 'no_speech_threshold'] as const),
] as const;

/** Default of `chunk_length_s` for streams. */
const STREAM_SECONDS = 10;
/** Options that mean nothing for a stream. */
const NOT_OF_STREAMS = [
  'return_timestamps',
  'stride_length_s',
  'return_language',
  'onText',
  'onProgress',
  'batchSize',
] as const;

/** Number of recordings in a batch. Each takes memory for 30 seconds of features and attention. */
const BATCH_SIZE = 8;

export const automaticSpeechRecognition: Task<SpeechRecognition> = {
  create({ task, model }) {
    const writer = writesParts(model) ? new PartWriter(task, model) : null;
    const isSpeller = !writer && model.headKind !== 'language-model';
    const reader = writer ?? (isSpeller ? new Speller(task, model) : null);
    const listener = reader ? null : new Listener(task, model);
    async function recordingsOf(
      recordings: SoundInput | readonly SoundInput[],
      options: SpeechRecognitionOptions,
    ): Promise<SpeechRecognitionOutput | SpeechRecognitionOutput[]> {
      const list: readonly SoundInput[] = Array.isArray(recordings) ? recordings : [recordings as SoundInput];
      const results = listener
        ? await recognize(listener, list, planOf(listener, options))
        : await (reader as Speller | PartWriter).recognize(list, options);
      return Array.isArray(recordings) ? results : (results[0] as SpeechRecognitionOutput);
    }
    function call(
      recordings: SoundInput | readonly SoundInput[] | SoundStream,
      options: SpeechRecognitionOptions = {},
    ): unknown {
      if (!isSoundStream(recordings)) return recordingsOf(recordings, options);
      const { chunk_length_s: seconds = STREAM_SECONDS, signal, ...others } = options;
      checkNumber(task, 'chunk_length_s', seconds, (value) => value > 0, 'seconds above 0');
      const unused = NOT_OF_STREAMS.find((name) => others[name] !== undefined);
      if (unused) throw new ArgumentError(`${task}: a stream has no ${unused}, expected a recording for this option`);
      const samplingRate = listener?.extractor.samplingRate ?? (reader as Speller | PartWriter).samplingRate;
      const textOf = async (samples: Float32Array) =>
        ((await recordingsOf(samples, { ...others, signal })) as SpeechRecognitionOutput).text;
      return follow(task, recordings, textOf, { samplingRate, seconds, signal });
    }
    return call as SpeechRecognition;
  },
};

/** Options with defaults, in samples. */
interface Plan {
  readonly options: SpeechRecognitionOptions;
  readonly listen: ListenOptions;
  /** Overlapping windows. Null: windows follow one another without overlap. */
  readonly windows: { readonly length: number; readonly left: number; readonly right: number } | null;
}

function planOf(listener: Listener, options: SpeechRecognitionOptions): Plan {
  const { task, model } = listener;
  checkCallOptions(task, options);
  const { temperature = null } = options;
  const several = typeof temperature === 'number' ? null : temperature;
  const { temperature: _, ...others } = options;
  const sampling = typeof temperature === 'number' ? { ...others, temperature } : others;
  const generate = generationArguments(task, model, sampling as GenerationArguments, OWN as readonly string[] as never);
  const { return_timestamps: timestamps = false, language, task: wanted, batchSize = BATCH_SIZE, signal } = options;
  const own = Object.fromEntries(OWN.map((name) => [name, options[name]])) as Pick<SpeechRecognitionOptions, Own>;
  checkOptions(task, own, {
    return_timestamps: {
      accepts: (value) => [true, false, 'word'].includes(value as string),
      expected: "one of true, false, word (models that spell have 'char')",
    },
    chunk_length_s: 'notNegative',
    stride_length_s: { ...anyOf('notNegative', listOf('notNegative', '')), expected: 'seconds, or [left, right]' },
    language: 'any',
    task: ['transcribe', 'translate', null],
    return_language: 'boolean',
    onText: 'function',
    temperature: anyOf('notNegative', 'array'),
    condition_on_prev_tokens: 'boolean',
    prompt_ids: 'array',
    return_quality: 'boolean',
    ...(Object.fromEntries(THRESHOLDS.map((name) => [name, THRESHOLD])) as Record<
      (typeof THRESHOLDS)[number],
      typeof THRESHOLD
    >),
    signal: 'any',
    onProgress: 'any',
    batchSize: 'any',
  });
  if (several !== null) checkTemperatures(task, several);
  const limits = limitsOf(options);
  const code = listener.languageOf(language);
  listener.prefix(code ?? undefined, wanted, false); // throws for a task that the model does not have
  return {
    options,
    windows: windowsOf(listener, options),
    listen: {
      timestamps: timestamps !== false,
      tokenTimes: timestamps === 'word',
      language: code,
      task: wanted,
      temperatures: several,
      limits,
      judges: THRESHOLDS.some((name) => options[name] != null) || options.return_quality === true,
      prompt: promptOf(listener, options.prompt_ids ?? []),
      conditions: options.condition_on_prev_tokens ?? false,
      batchSize,
      generate,
      signal,
    },
  };
}

type Own = (typeof OWN)[number];

const THRESHOLDS = ['compression_ratio_threshold', 'logprob_threshold', 'no_speech_threshold'] as const;

/** Whisper's default. */
const NO_SPEECH = 0.6;

const THRESHOLD = {
  accepts: (value: unknown) => value === null || (typeof value === 'number' && !Number.isNaN(value)),
  expected: 'a number or null',
};

function limitsOf(options: SpeechRecognitionOptions): ListenOptions['limits'] {
  const {
    compression_ratio_threshold: compressionRatio = null,
    logprob_threshold: logProbability = null,
    no_speech_threshold: noSpeech = NO_SPEECH,
  } = options;
  return { compressionRatio, logProbability, noSpeech };
}

function checkTemperatures(task: string, given: readonly number[]): void {
  const isList = Array.isArray(given) && given.length > 0;
  if (isList && given.every((each) => typeof each === 'number' && each >= 0 && each < Number.POSITIVE_INFINITY)) return;
  throw new ArgumentError(
    `${task}: temperature is ${describeValue(given)}, expected a number or a list of numbers from 0`,
  );
}

/**
 * Returns the ids of a prompt without the leading mark. Throws ArgumentError for ids that are not text, and for models
 * that take no prompts.
 */
function promptOf({ task, tokens, startOfPast }: Listener, ids: readonly number[]): readonly number[] {
  const own = ids[0] === startOfPast ? ids.slice(1) : ids;
  const odd = own.find((id) => !(Number.isInteger(id) && id >= 0 && id < tokens.end));
  if (odd !== undefined)
    throw new ArgumentError(
      `${task}: prompt_ids has ${describeValue(odd)}, expected tokens of text, below ${tokens.end}`,
    );
  if (own.length > 0 && startOfPast === undefined)
    throw new ArgumentError(`${task}: the model takes no prompt_ids, because its tokenizer has no <|startofprev|>`);
  return own;
}

function windowsOf({ task, extractor }: Listener, options: SpeechRecognitionOptions): Plan['windows'] {
  const { chunk_length_s: seconds = 0, stride_length_s: stride = seconds / 6 } = options;
  if (seconds === 0) return null;
  const inSamples = (time: number) => Math.round(time * extractor.samplingRate);
  const sides = typeof stride === 'number' ? [stride, stride] : Array.from(stride);
  const [length, left, right] = [seconds, ...sides].map(inSamples) as [number, number, number];
  const isStride = sides.length === 2 && left >= 0 && right >= 0 && left + right < length;
  if (isStride && length <= extractor.samples) return { length, left, right };
  const most = extractor.samples / extractor.samplingRate;
  throw new ArgumentError(
    `${task}: chunk_length_s is ${seconds} and stride_length_s ${sides.join(' and ')}, expected up to ${most} seconds, and strides that are shorter together`,
  );
}

async function recognize(
  listener: Listener,
  recordings: readonly SoundInput[],
  plan: Plan,
): Promise<SpeechRecognitionOutput[]> {
  const { signal, onProgress } = plan.options;
  const { batchSize } = plan.listen;
  const results: SpeechRecognitionOutput[] = [];
  for (let first = 0; first < recordings.length; first += plan.windows ? 1 : batchSize) {
    signal?.throwIfAborted();
    const some = recordings.slice(first, first + (plan.windows ? 1 : batchSize));
    const samples: Float32Array[] = [];
    for (const [i, each] of some.entries()) {
      const name = recordings.length === 1 ? 'the recording' : `recordings[${first + i}]`;
      samples.push(await samplesOf(listener.task, each, listener.extractor.samplingRate, signal, name));
      await new Promise<void>((resolve) => afterEvents(resolve));
    }
    if (plan.windows) results.push(await inWindows(listener, samples[0] as Float32Array, first, plan, plan.windows));
    else results.push(...(await inTurn(listener, samples, first, plan)));
    onProgress?.({ done: results.length, total: recordings.length });
  }
  return results;
}

/** Transcribes recordings as a batch, each of them window after window. */
async function inTurn(
  listener: Listener,
  recordings: readonly Float32Array[],
  first: number,
  plan: Plan,
): Promise<SpeechRecognitionOutput[]> {
  const { onText, signal } = plan.options;
  const results: SpeechRecognitionOutput[] = [];
  const sounds: Sound[] = [];
  for (const samples of recordings) sounds.push(await soundOf(listener, samples, signal));
  // The next window of a long recording begins at a predicted time, so times are needed even if they are not returned.
  const isLong = ({ features }: Sound) => (features.shape[1] as number) > listener.extractor.frames;
  for (const long of [false, true]) {
    const places = [...sounds.keys()].filter((i) => isLong(sounds[i] as Sound) === long);
    const printers = places.map((i) => new Printer(listener, first + i, onText));
    const onKept = (sound: number, tokens: readonly number[]) => printers[sound]?.putAll(tokens);
    const heard = await listen(
      listener,
      places.map((i) => sounds[i] as Sound),
      {
        ...plan.listen,
        timestamps: plan.listen.timestamps || long,
        onKept: onText && onKept,
        onToken: onText && !long ? (sound, token) => printers[sound]?.put(token) : undefined,
      },
    );
    for (const [i, each] of heard.entries())
      results[places[i] as number] = outputOf(listener, plan, (transcript) =>
        transcript.add({ ...each, stride: null }),
      );
  }
  return results;
}

/** Transcribes one recording in overlapping windows, several of them as a batch. */
async function inWindows(
  listener: Listener,
  samples: Float32Array,
  recording: number,
  plan: Plan,
  { length, left, right }: NonNullable<Plan['windows']>,
): Promise<SpeechRecognitionOutput> {
  const { samplingRate } = listener.extractor;
  const { batchSize, signal } = plan.listen;
  const windows: { samples: Float32Array; left: number; right: number }[] = [];
  for (let start = 0; ; start += length - left - right) {
    const isLast = start + length >= samples.length;
    const own = { samples: samples.subarray(start, start + length), left: start && left, right: isLast ? 0 : right };
    if (own.samples.length > own.left) windows.push(own);
    if (isLast) break;
  }
  const heard: Awaited<ReturnType<typeof listen>> = [];
  for (let from = 0; from < windows.length; from += batchSize) {
    const some = windows.slice(from, from + batchSize);
    const sounds: Sound[] = [];
    for (const window of some) sounds.push(await soundOf(listener, window.samples, signal));
    const printers = some.map(() => new Printer(listener, recording, plan.options.onText));
    const { onText } = plan.options;
    const onToken = onText && ((sound: number, token: number) => printers[sound]?.put(token));
    const onKept = onText && ((sound: number, tokens: readonly number[]) => printers[sound]?.putAll(tokens));
    heard.push(...(await listen(listener, sounds, { ...plan.listen, onToken, onKept })));
  }
  return outputOf(listener, plan, (transcript) => {
    for (const [i, window] of windows.entries()) {
      const [all, before, behind] = [window.samples.length, window.left, window.right].map((n) => n / samplingRate);
      const stride = { length: all as number, left: before as number, right: behind as number };
      transcript.add({ ...(heard[i] as (typeof heard)[number]), stride });
    }
  });
}

async function soundOf({ extractor }: Listener, samples: Float32Array, signal?: AbortSignal): Promise<Sound> {
  const features = await extractor.spectrogram(samples, signal);
  return { samples, features, frames: Math.min(extractor.framesOf(samples.length), features.shape[1] as number) };
}

function outputOf(listener: Listener, plan: Plan, write: (transcript: Transcript) => void): SpeechRecognitionOutput {
  const { return_timestamps: timestamps = false, return_language: language = false } = plan.options;
  const quality = plan.options.return_quality ?? false;
  const times = timestamps === 'char' ? true : timestamps; // planOf refuses letters
  const transcript = new Transcript(listener, { timestamps: times, language, quality });
  write(transcript);
  const { text, chunks } = transcript.finish();
  if (timestamps !== false) return { text, chunks };
  return language ? { text, chunks: chunks.map(({ timestamp: _, ...chunk }) => chunk as TranscriptChunk) } : { text };
}

/** Reports text as it grows, in whole characters. */
class Printer {
  #tokens: number[] = [];
  #shown = '';

  constructor(
    private readonly listener: Listener,
    private readonly recording: number,
    private readonly tell: SpeechRecognitionOptions['onText'],
  ) {}

  /** Tokens of whole sentences. */
  putAll(tokens: readonly number[]): unknown {
    const { tokenizer, tokens: ids } = this.listener;
    const text = tokenizer.decode(tokens.filter((token) => token < ids.end));
    return text === '' ? undefined : this.tell?.({ recording: this.recording, text });
  }

  put(token: number): unknown {
    const { tokenizer, tokens } = this.listener;
    if (token >= tokens.end) return;
    this.#tokens.push(token);
    const text = tokenizer.decode(this.#tokens);
    if (text.endsWith('\ufffd')) return;
    const piece = text.slice(this.#shown.length);
    if (piece.startsWith(' ')) [this.#tokens, this.#shown] = [[token], tokenizer.decode([token])];
    else this.#shown = text;
    return piece === '' ? undefined : this.tell?.({ recording: this.recording, text: piece });
  }
}
