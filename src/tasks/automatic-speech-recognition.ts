import { afterEvents } from '../backend/after-events.js';
import { checkOptions } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import { checkCallOptions } from './batches.js';
import { type GenerationArguments, generationArguments } from './generation-arguments.js';
import { type ListenOptions, listen, type Sound } from './speech/listen.js';
import { type SoundInput, samplesOf } from './speech/sound-inputs.js';
import { Transcript, type TranscriptChunk } from './speech/transcript.js';
import { Listener, type SpeechTask } from './speech/whisper-settings.js';
import type { CallOptions, Task } from './task.js';

export type { SoundInput, TranscriptChunk };

export interface SpeechRecognitionOptions extends CallOptions, GenerationArguments {
  /** Whether `chunks` with times are given back: segments, or words. Default false. */
  return_timestamps?: boolean | 'word' | undefined;
  /**
   * Seconds of windows that overlap and are heard side by side: faster where there is much to hear at once, less exact
   * than the default 0: one window after the other, of 30 seconds, each beginning where a sentence ended.
   */
  chunk_length_s?: number | undefined;
  /** Seconds that a window shares with each of its neighbours, or with the one before and the one behind. Default: a sixth. */
  stride_length_s?: number | readonly [left: number, right: number] | undefined;
  /** What is said, as `de` or `german`. Default: found out, where the model has several languages. */
  language?: string | null | undefined;
  /** `translate` writes in English. Default `transcribe`. */
  task?: SpeechTask | null | undefined;
  /** Whether chunks tell their language, and without times there is a chunk for each. Default false. */
  return_language?: boolean | undefined;
  /** Told of each piece of text as it is written; of a recording in windows side by side, in no order. */
  onText?: ((piece: { readonly recording: number; readonly text: string }) => unknown) | undefined;
}

/** What was said. */
export interface SpeechRecognitionOutput {
  readonly text: string;
  /** With `return_timestamps` or `return_language`. */
  readonly chunks?: TranscriptChunk[];
}

/**
 * Writes what is said in recordings of any length and rate: `{ text }` of one, or of an array of them an array.
 * Rejects with ArgumentError for what is no recording and options that make no sense, FormatError for files that are no
 * WAV, and the reason of `signal`.
 */
export interface SpeechRecognition {
  (recording: SoundInput, options?: SpeechRecognitionOptions): Promise<SpeechRecognitionOutput>;
  (recordings: readonly SoundInput[], options?: SpeechRecognitionOptions): Promise<SpeechRecognitionOutput[]>;
}

const OWN = [
  ...(['signal', 'onProgress', 'batchSize'] as const),
  ...(['return_timestamps', 'chunk_length_s', 'stride_length_s', 'language', 'task'] as const),
  ...(['return_language', 'onText'] as const),
] as const;

/** Recordings that are listened to side by side: each has 30 seconds of features and attention. */
const BATCH_SIZE = 8;

export const automaticSpeechRecognition: Task<SpeechRecognition> = {
  head: 'language-model',
  create({ task, model }) {
    const listener = new Listener(task, model);
    async function call(
      recordings: SoundInput | readonly SoundInput[],
      options: SpeechRecognitionOptions = {},
    ): Promise<SpeechRecognitionOutput | SpeechRecognitionOutput[]> {
      const plan = planOf(listener, options);
      const list: readonly SoundInput[] = Array.isArray(recordings) ? recordings : [recordings as SoundInput];
      const results = await recognize(listener, list, plan);
      return Array.isArray(recordings) ? results : (results[0] as SpeechRecognitionOutput);
    }
    return call as SpeechRecognition;
  },
};

/** Options with defaults, in samples. */
interface Plan {
  readonly options: SpeechRecognitionOptions;
  readonly listen: ListenOptions;
  /** null: one window after the other. */
  readonly windows: { readonly length: number; readonly left: number; readonly right: number } | null;
}

function planOf(listener: Listener, options: SpeechRecognitionOptions): Plan {
  const { task, model } = listener;
  const generate = generationArguments(task, model, options, OWN);
  checkCallOptions(task, options);
  const { return_timestamps: timestamps = false, language, task: wanted, batchSize = BATCH_SIZE, signal } = options;
  const own = Object.fromEntries(OWN.map((name) => [name, options[name]])) as Pick<SpeechRecognitionOptions, Own>;
  checkOptions(task, own, {
    return_timestamps: [true, false, 'word'],
    chunk_length_s: 'notNegative',
    stride_length_s: 'any',
    language: 'any',
    task: ['transcribe', 'translate', null],
    return_language: 'boolean',
    onText: 'function',
    signal: 'any',
    onProgress: 'any',
    batchSize: 'any',
  });
  const code = listener.languageOf(language);
  listener.prefix(code ?? undefined, wanted, false); // refuses a task that the model cannot do
  return {
    options,
    windows: windowsOf(listener, options),
    listen: {
      timestamps: timestamps !== false,
      tokenTimes: timestamps === 'word',
      language: code,
      task: wanted,
      batchSize,
      generate,
      signal,
    },
  };
}

type Own = (typeof OWN)[number];

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
    for (const each of some) {
      samples.push(await samplesOf(listener.task, each, listener.extractor.samplingRate, signal));
      await new Promise<void>((resolve) => afterEvents(resolve));
    }
    if (plan.windows) results.push(await inWindows(listener, samples[0] as Float32Array, first, plan, plan.windows));
    else results.push(...(await inTurn(listener, samples, first, plan)));
    onProgress?.({ done: results.length, total: recordings.length });
  }
  return results;
}

/** Recordings side by side, each of them window after window. */
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
  // What is longer than a window goes on where a time says, whether times are wanted or not.
  const isLong = ({ features }: Sound) => (features.shape[1] as number) > listener.extractor.frames;
  for (const long of [false, true]) {
    const places = [...sounds.keys()].filter((i) => isLong(sounds[i] as Sound) === long);
    const printers = places.map((i) => new Printer(listener, first + i, onText));
    const heard = await listen(
      listener,
      places.map((i) => sounds[i] as Sound),
      {
        ...plan.listen,
        timestamps: plan.listen.timestamps || long,
        onToken: onText && ((sound, token) => printers[sound]?.put(token)),
      },
    );
    for (const [i, each] of heard.entries())
      results[places[i] as number] = outputOf(listener, plan, (transcript) =>
        transcript.add({ ...each, stride: null }),
      );
  }
  return results;
}

/** One recording in windows that overlap, several of them side by side. */
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
    const onToken = plan.options.onText && ((sound: number, token: number) => printers[sound]?.put(token));
    heard.push(...(await listen(listener, sounds, { ...plan.listen, onToken })));
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
  return { features, frames: Math.min(extractor.framesOf(samples.length), features.shape[1] as number) };
}

function outputOf(listener: Listener, plan: Plan, write: (transcript: Transcript) => void): SpeechRecognitionOutput {
  const { return_timestamps: timestamps = false, return_language: language = false } = plan.options;
  const transcript = new Transcript(listener, { timestamps, language });
  write(transcript);
  const { text, chunks } = transcript.finish();
  if (timestamps !== false) return { text, chunks };
  return language ? { text, chunks: chunks.map(({ timestamp: _, ...chunk }) => chunk as TranscriptChunk) } : { text };
}

/** Tells of text as it grows, whole characters at a time. */
class Printer {
  #tokens: number[] = [];
  #shown = '';

  constructor(
    private readonly listener: Listener,
    private readonly recording: number,
    private readonly tell: SpeechRecognitionOptions['onText'],
  ) {}

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
