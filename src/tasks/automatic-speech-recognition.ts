import { afterEvents } from '../backend/after-events.js';
import { anyOf, checkNumber, checkOptions, describeValue, listOf } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import { callOptionKinds } from './batches.js';
import { type GenerationArguments, generationArguments } from './generation-arguments.js';
import { CtcTranscriber } from './speech/ctc-transcriber.js';
import { follow, isSoundStream, type PartialTranscript, type SoundStream } from './speech/follow.js';
import { isPartTranscribed, PartTranscriber } from './speech/part-transcriber.js';
import type { SpeechRecognitionOptions, SpeechRecognitionOutput } from './speech/recognition-options.js';
import { type SoundInput, samplesOf } from './speech/sound-inputs.js';
import { Transcript, type TranscriptChunk } from './speech/transcript.js';
import { WhisperContext } from './speech/whisper-context.js';
import type { PreparedRecording, WindowedOptions } from './speech/whisper-track.js';
import { transcribeInWindows } from './speech/whisper-windows.js';
import { NO_INPUT_IDS, type Task } from './task.js';

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
 * ArgumentError for invalid recordings or options, FormatError for files that `decodeAudio` cannot read, and the reason
 * of `signal`.
 *
 * A stream of samples, such as a microphone's, gives its text while it goes on. `chunk_length_s` is the maximum of
 * seconds whose text may still change, by default 10. Breaking out of the loop ends the stream.
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

const THRESHOLD = {
  accepts: (value: unknown) => value === null || (typeof value === 'number' && !Number.isNaN(value)),
  expected: 'a number or null',
};

/** The kinds of the task's options. All other options are those of `generate`. */
const SPEECH_KINDS = {
  return_timestamps: {
    accepts: (value: unknown) => [true, false, 'word'].includes(value as string),
    expected: "one of true, false, word (CTC models have 'char')",
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
  compression_ratio_threshold: THRESHOLD,
  logprob_threshold: THRESHOLD,
  no_speech_threshold: THRESHOLD,
  ...callOptionKinds,
} as const;

const SPEECH_OPTIONS = Object.keys(SPEECH_KINDS) as (keyof typeof SPEECH_KINDS)[];

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
  needs: NO_INPUT_IDS,
  create({ task, model }) {
    const partTranscriber = isPartTranscribed(model) ? new PartTranscriber(task, model) : null;
    const isCtc = !partTranscriber && model.headKind !== 'language-model';
    const transcriber = partTranscriber ?? (isCtc ? new CtcTranscriber(task, model) : null);
    const whisper = transcriber ? null : new WhisperContext(task, model);
    async function recordingsOf(
      recordings: SoundInput | readonly SoundInput[],
      options: SpeechRecognitionOptions,
    ): Promise<SpeechRecognitionOutput | SpeechRecognitionOutput[]> {
      const list: readonly SoundInput[] = Array.isArray(recordings) ? recordings : [recordings as SoundInput];
      const results = whisper
        ? await recognize(whisper, list, planOf(whisper, options))
        : await (transcriber as CtcTranscriber | PartTranscriber).recognize(list, options);
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
      const samplingRate =
        whisper?.extractor.samplingRate ?? (transcriber as CtcTranscriber | PartTranscriber).samplingRate;
      const textOf = async (samples: Float32Array) =>
        ((await recordingsOf(samples, { ...others, signal })) as SpeechRecognitionOutput).text;
      return follow(task, recordings, textOf, { samplingRate, seconds, signal });
    }
    return call as SpeechRecognition;
  },
};

/** Options with defaults, in samples. */
interface RecognitionPlan {
  readonly options: SpeechRecognitionOptions;
  readonly windowed: WindowedOptions;
  /** Overlapping windows. Null: windows follow one another without overlap. */
  readonly windows: { readonly length: number; readonly left: number; readonly right: number } | null;
}

function planOf(whisper: WhisperContext, options: SpeechRecognitionOptions): RecognitionPlan {
  const { task } = whisper;
  checkOptions(task, options);
  const generate = decodingOptions(whisper, options);
  checkOptions(task, ofSpeech(options), SPEECH_KINDS);
  const { temperature = null, return_timestamps: timestamps = false, batchSize = BATCH_SIZE, signal } = options;
  const temperatures = typeof temperature === 'number' ? null : temperature;
  if (temperatures !== null) checkTemperatures(task, temperatures);
  const language = whisper.languageOf(options.language);
  whisper.prefix(language ?? undefined, options.task, false); // throws for a task that the model does not have
  return {
    options,
    windows: windowsOf(whisper, options),
    windowed: {
      timestamps: timestamps !== false,
      tokenTimes: timestamps === 'word',
      language,
      task: options.task,
      temperatures,
      limits: limitsOf(options),
      measuresQuality: options.return_quality === true || hasThreshold(options),
      prompt: promptOf(whisper, options.prompt_ids ?? []),
      conditionsOnPrevious: options.condition_on_prev_tokens ?? false,
      batchSize,
      generate,
      signal,
    },
  };
}

/** Options of `generate`. A list of temperatures is not passed on: windows are decoded again by it. */
function decodingOptions({ task, model }: WhisperContext, options: SpeechRecognitionOptions) {
  const { temperature, ...others } = options;
  const passed = typeof temperature === 'number' ? options : others;
  return generationArguments(task, model, passed as GenerationArguments, SPEECH_OPTIONS as readonly string[] as never);
}

const ofSpeech = (options: SpeechRecognitionOptions) =>
  Object.fromEntries(SPEECH_OPTIONS.map((name) => [name, options[name]])) as Pick<
    SpeechRecognitionOptions,
    keyof typeof SPEECH_KINDS
  >;

const hasThreshold = (options: SpeechRecognitionOptions) =>
  options.compression_ratio_threshold != null ||
  options.logprob_threshold != null ||
  options.no_speech_threshold != null;

/** Whisper's default. */
const NO_SPEECH = 0.6;

function limitsOf(options: SpeechRecognitionOptions): WindowedOptions['limits'] {
  const {
    compression_ratio_threshold: compressionRatio = null,
    logprob_threshold: logProbability = null,
    no_speech_threshold: noSpeech = NO_SPEECH,
  } = options;
  return { compressionRatio, logProbability, noSpeech };
}

function checkTemperatures(task: string, temperatures: readonly number[]): void {
  const isList = Array.isArray(temperatures) && temperatures.length > 0;
  if (
    isList &&
    temperatures.every((value) => typeof value === 'number' && value >= 0 && value < Number.POSITIVE_INFINITY)
  )
    return;
  throw new ArgumentError(
    `${task}: temperature is ${describeValue(temperatures)}, expected a number or a list of numbers from 0`,
  );
}

/**
 * Returns the ids of a prompt without the leading mark. Throws ArgumentError for ids that are not text, and for models
 * that take no prompts.
 */
function promptOf({ task, tokens, startOfPast }: WhisperContext, ids: readonly number[]): readonly number[] {
  const promptIds = ids[0] === startOfPast ? ids.slice(1) : ids;
  const odd = promptIds.find((id) => !(Number.isInteger(id) && id >= 0 && id < tokens.end));
  if (odd !== undefined)
    throw new ArgumentError(
      `${task}: prompt_ids has ${describeValue(odd)}, expected tokens of text, below ${tokens.end}`,
    );
  if (promptIds.length > 0 && startOfPast === undefined)
    throw new ArgumentError(`${task}: the model takes no prompt_ids, because its tokenizer has no <|startofprev|>`);
  return promptIds;
}

function windowsOf({ task, extractor }: WhisperContext, options: SpeechRecognitionOptions): RecognitionPlan['windows'] {
  const { chunk_length_s: seconds = 0, stride_length_s: stride = seconds / 6 } = options;
  if (seconds === 0) return null;
  const inSamples = (time: number) => Math.round(time * extractor.samplingRate);
  const sides = typeof stride === 'number' ? [stride, stride] : Array.from(stride);
  const [length, left, right] = [seconds, ...sides].map(inSamples) as [number, number, number];
  const isStride = sides.length === 2 && left >= 0 && right >= 0 && left + right < length;
  if (isStride && length <= extractor.samples) return { length, left, right };
  const maxSeconds = extractor.samples / extractor.samplingRate;
  throw new ArgumentError(
    `${task}: chunk_length_s is ${seconds} and stride_length_s ${sides.join(' and ')}, expected up to ${maxSeconds} seconds, and strides that are shorter together`,
  );
}

async function recognize(
  whisper: WhisperContext,
  recordings: readonly SoundInput[],
  plan: RecognitionPlan,
): Promise<SpeechRecognitionOutput[]> {
  const { signal, onProgress } = plan.options;
  const { batchSize } = plan.windowed;
  const results: SpeechRecognitionOutput[] = [];
  for (let first = 0; first < recordings.length; first += plan.windows ? 1 : batchSize) {
    signal?.throwIfAborted();
    const batch = recordings.slice(first, first + (plan.windows ? 1 : batchSize));
    const samples: Float32Array[] = [];
    for (const [i, sound] of batch.entries()) {
      const name = recordings.length === 1 ? 'the recording' : `recordings[${first + i}]`;
      samples.push(await samplesOf(whisper.task, sound, whisper.extractor.samplingRate, signal, name));
      await new Promise<void>((resolve) => afterEvents(resolve));
    }
    if (plan.windows)
      results.push(await recognizeOverlapping(whisper, samples[0] as Float32Array, first, plan, plan.windows));
    else results.push(...(await recognizeBatch(whisper, samples, first, plan)));
    onProgress?.({ done: results.length, total: recordings.length });
  }
  return results;
}

/** Transcribes recordings as a batch, each of them window after window. */
async function recognizeBatch(
  whisper: WhisperContext,
  recordings: readonly Float32Array[],
  first: number,
  plan: RecognitionPlan,
): Promise<SpeechRecognitionOutput[]> {
  const { onText, signal } = plan.options;
  const results: SpeechRecognitionOutput[] = [];
  const prepared: PreparedRecording[] = [];
  for (const samples of recordings) prepared.push(await prepareRecording(whisper, samples, signal));
  // The next window of a long recording begins at a predicted time, so times are needed even if they are not returned.
  const isLong = ({ features }: PreparedRecording) => (features.shape[1] as number) > whisper.extractor.frames;
  for (const isLongGroup of [false, true]) {
    const indices = [...prepared.keys()].filter((i) => isLong(prepared[i] as PreparedRecording) === isLongGroup);
    const reporters = indices.map((i) => new TextReporter(whisper, first + i, onText));
    const onWindow = (index: number, tokens: readonly number[]) => reporters[index]?.addAll(tokens);
    const transcripts = await transcribeInWindows(
      whisper,
      indices.map((i) => prepared[i] as PreparedRecording),
      {
        ...plan.windowed,
        timestamps: plan.windowed.timestamps || isLongGroup,
        onWindow: onText && onWindow,
        onToken: onText && !isLongGroup ? (index, token) => reporters[index]?.add(token) : undefined,
      },
    );
    for (const [i, part] of transcripts.entries())
      results[indices[i] as number] = outputOf(whisper, plan, (transcript) =>
        transcript.add({ ...part, stride: null }),
      );
  }
  return results;
}

/** Transcribes one recording in overlapping windows, several of them as a batch. */
async function recognizeOverlapping(
  whisper: WhisperContext,
  samples: Float32Array,
  recording: number,
  plan: RecognitionPlan,
  { length, left, right }: NonNullable<RecognitionPlan['windows']>,
): Promise<SpeechRecognitionOutput> {
  const { samplingRate } = whisper.extractor;
  const { batchSize, signal } = plan.windowed;
  const windows: { samples: Float32Array; left: number; right: number }[] = [];
  for (let start = 0; ; start += length - left - right) {
    const isLast = start + length >= samples.length;
    const window = { samples: samples.subarray(start, start + length), left: start && left, right: isLast ? 0 : right };
    if (window.samples.length > window.left) windows.push(window);
    if (isLast) break;
  }
  const transcripts: Awaited<ReturnType<typeof transcribeInWindows>> = [];
  for (let from = 0; from < windows.length; from += batchSize) {
    const batch = windows.slice(from, from + batchSize);
    const prepared: PreparedRecording[] = [];
    for (const window of batch) prepared.push(await prepareRecording(whisper, window.samples, signal));
    const reporters = batch.map(() => new TextReporter(whisper, recording, plan.options.onText));
    const { onText } = plan.options;
    const onToken = onText && ((index: number, token: number) => reporters[index]?.add(token));
    const onWindow = onText && ((index: number, tokens: readonly number[]) => reporters[index]?.addAll(tokens));
    transcripts.push(...(await transcribeInWindows(whisper, prepared, { ...plan.windowed, onToken, onWindow })));
  }
  return outputOf(whisper, plan, (transcript) => {
    for (const [i, window] of windows.entries()) {
      const [all, before, behind] = [window.samples.length, window.left, window.right].map((n) => n / samplingRate);
      const stride = { length: all as number, left: before as number, right: behind as number };
      transcript.add({ ...(transcripts[i] as (typeof transcripts)[number]), stride });
    }
  });
}

async function prepareRecording(
  { extractor }: WhisperContext,
  samples: Float32Array,
  signal?: AbortSignal,
): Promise<PreparedRecording> {
  const features = await extractor.spectrogram(samples, signal);
  return { samples, features, frames: Math.min(extractor.framesOf(samples.length), features.shape[1] as number) };
}

function outputOf(
  whisper: WhisperContext,
  plan: RecognitionPlan,
  write: (transcript: Transcript) => void,
): SpeechRecognitionOutput {
  const { return_timestamps: timestamps = false, return_language: language = false } = plan.options;
  const quality = plan.options.return_quality ?? false;
  const times = timestamps === 'char' ? true : timestamps; // planOf refuses letters
  const transcript = new Transcript(whisper, { timestamps: times, language, quality });
  write(transcript);
  const { text, chunks } = transcript.finish();
  if (timestamps !== false) return { text, chunks };
  return language ? { text, chunks: chunks.map(({ timestamp: _, ...chunk }) => chunk as TranscriptChunk) } : { text };
}

/** Reports text as it grows, in whole characters. */
class TextReporter {
  #tokens: number[] = [];
  #reported = '';

  constructor(
    private readonly whisper: WhisperContext,
    private readonly recording: number,
    private readonly onText: SpeechRecognitionOptions['onText'],
  ) {}

  /** Tokens of whole sentences. */
  addAll(tokens: readonly number[]): unknown {
    const { tokenizer, tokens: ids } = this.whisper;
    const text = tokenizer.decode(tokens.filter((token) => token < ids.end));
    return text === '' ? undefined : this.onText?.({ recording: this.recording, text });
  }

  add(token: number): unknown {
    const { tokenizer, tokens } = this.whisper;
    if (token >= tokens.end) return;
    this.#tokens.push(token);
    const text = tokenizer.decode(this.#tokens);
    if (text.endsWith('\ufffd')) return;
    const piece = text.slice(this.#reported.length);
    if (piece.startsWith(' ')) [this.#tokens, this.#reported] = [[token], tokenizer.decode([token])];
    else this.#reported = text;
    return piece === '' ? undefined : this.onText?.({ recording: this.recording, text: piece });
  }
}
