// Whisper's transcription of recordings of any length, window after window. Each begins at the last time that the
// previous one is certain of (section 4.5 of Radford et al. 2022, "Long-form transcription").

import type { Tensor } from '../../core/tensor.js';
import type { GenerateOptions } from '../../generate/generate-options.js';
import { inferenceAsync } from '../../nn/inference-async.js';
import { inference } from '../../nn/module.js';
import type { Features } from '../../pretrained/processors/features.js';
import {
  ChosenScores,
  compressionRatio,
  probabilityOf,
  type QualityLimits,
  type SpeechQuality,
  tokenIdBytes,
} from './quality.js';
import { timestampRules } from './timestamp-rules.js';
import { timesOf } from './token-times.js';
import type { SpeechTask, WhisperContext } from './whisper-context.js';

/**
 * A recording at the model's sampling rate. `features` is [bins, frames of all windows]; its first `frames` frames are
 * not padding.
 */
export interface PreparedRecording {
  readonly samples: Float32Array;
  readonly features: Features;
  readonly frames: number;
}

/** A window of a recording, and its text. */
export interface TranscribedWindow {
  /** Frame at which the window begins. */
  readonly seek: number;
  /** Index of the window's first token. */
  readonly first: number;
  /** Null if it was not requested. */
  readonly quality: SpeechQuality | null;
}

/** Transcript of a recording. */
export interface WindowedTranscript {
  /** Windows, in order. */
  readonly windows: readonly TranscribedWindow[];
  /** Tokens of text and of times. Times count from the beginning of a window. */
  readonly tokens: readonly number[];
  /** Time of each token in seconds of the recording; null if times were not requested. */
  readonly times: readonly number[] | null;
  /** Code of the language; null if the model has none. */
  readonly language: string | null;
}

export interface WindowedOptions {
  readonly timestamps: boolean;
  /** True to return the time of each token. */
  readonly tokenTimes: boolean;
  /** Language in the form of `WhisperContext.languageOf`. */
  readonly language: string | null | undefined;
  readonly task: SpeechTask | null | undefined;
  /** Temperatures of attempts, one after the other while `limits` refuse; null for the temperature of `generate`. */
  readonly temperatures: readonly number[] | null;
  readonly limits: QualityLimits;
  /** True to measure the quality of each window. */
  readonly measuresQuality: boolean;
  /** Tokens of a preceding text. */
  readonly prompt: readonly number[];
  /** True if the text of earlier windows follows `prompt` as context. */
  readonly conditionsOnPrevious: boolean;
  readonly batchSize: number;
  readonly generate: GenerateOptions;
  readonly signal?: AbortSignal | undefined;
  /** Called with each token as it is generated, if no later step can drop it. */
  readonly onToken?: ((recording: number, token: number) => unknown) | undefined;
  /** Called with the tokens of each window that `onToken` did not report. */
  readonly onWindow?: ((recording: number, tokens: readonly number[]) => unknown) | undefined;
}

/** A recording in progress. */
interface Track {
  readonly index: number;
  readonly recording: PreparedRecording;
  /** The frame at which the next window begins. */
  seek: number;
  language: string | null | undefined;
  readonly tokens: number[];
  readonly times: number[];
  readonly windows: TranscribedWindow[];
  /** True if the next window gets the preceding text as context. */
  hasContext: boolean;
}

/**
 * Transcribes recordings, several as a batch, which does not change their texts. Rejects with the reason of `signal`,
 * and with the errors of `generate`.
 */
export async function transcribeInWindows(
  whisper: WhisperContext,
  recordings: readonly PreparedRecording[],
  options: WindowedOptions,
): Promise<WindowedTranscript[]> {
  const { language, batchSize, signal } = options;
  const tracks = recordings.map(
    (recording, index): Track => ({
      index,
      recording,
      seek: 0,
      language,
      tokens: [],
      times: [],
      windows: [],
      hasContext: options.prompt.length > 0,
    }),
  );
  const isUnfinished = ({ recording, seek }: Track) =>
    recording.samples.length > 0 && seek < (recording.features.shape[1] as number);
  for (let unfinished = tracks.filter(isUnfinished); unfinished.length > 0; unfinished = tracks.filter(isUnfinished)) {
    signal?.throwIfAborted();
    const batch = unfinished.slice(0, batchSize);
    const encoded = await encode(whisper, batch);
    try {
      const silences = await languagesAndSilences(whisper, batch, encoded, options);
      for (const group of groupByPrefixLength(whisper, batch, options)) {
        const all = group.length === batch.length;
        for (const indices of all ? [group] : group.map((i) => [i])) {
          const windowStates = all
            ? encoded
            : inference(whisper.model, () => encoded.rows(indices[0] as number, (indices[0] as number) + 1));
          try {
            await transcribeWindows(
              whisper,
              indices.map((i) => ({ track: batch[i] as Track, silence: silences[i] as number | null })),
              windowStates,
              options,
            );
          } finally {
            if (windowStates !== encoded) windowStates.dispose();
          }
        }
      }
    } finally {
      encoded.dispose();
    }
  }
  return tracks.map(({ tokens, times, windows, language: found }) => ({
    windows,
    tokens,
    times: options.tokenTimes ? times : null,
    language: found ?? null,
  }));
}

/** Encodes the next window of each track, with zeros after its end. The caller disposes of the result. */
async function encode({ model, extractor }: WhisperContext, tracks: readonly Track[]): Promise<Tensor> {
  const { featureSize, frames } = extractor;
  const windows = new Float32Array(tracks.length * featureSize * frames);
  for (const [i, { recording, seek }] of tracks.entries()) {
    const { data, shape } = recording.features;
    const width = shape[1] as number;
    for (let bin = 0; bin < featureSize; bin++) {
      const row = data.subarray(bin * width + seek, bin * width + Math.min(width, seek + frames));
      windows.set(row, (i * featureSize + bin) * frames);
    }
  }
  return inferenceAsync(model, function* () {
    const { hidden } = yield* model.encodeInParts(model.device.tensor(windows, [tracks.length, featureSize, frames]));
    return hidden.reshape(tracks.length, ...model.encodedShape);
  });
}

/**
 * Finds the languages that are not known yet, and the probability of silence in each window. A probability is null if
 * nothing needs it before the text is written.
 */
async function languagesAndSilences(
  whisper: WhisperContext,
  tracks: readonly Track[],
  encoded: Tensor,
  options: WindowedOptions,
): Promise<(number | null)[]> {
  const { measuresQuality, limits, onToken } = options;
  const isKnown = tracks.every(({ language }) => language !== null);
  const mayBeSilent =
    limits.noSpeech !== null && (onToken !== undefined || tracks.some((track) => isQuiet(whisper, track)));
  if (isKnown && !measuresQuality && !mayBeSilent) return tracks.map(() => null);
  return firstStep(whisper, tracks, encoded, options.signal);
}

/**
 * Reads the start token alone. Returns the probability that nothing is said, for each window, and sets the likeliest
 * language of the tracks that have none yet.
 */
async function firstStep(
  { model, start, languages, tokens }: WhisperContext,
  tracks: readonly Track[],
  encoded: Tensor,
  signal: AbortSignal | undefined,
): Promise<number[]> {
  const isKnown = tracks.every(({ language }) => language !== null);
  const codes = new Map([...languages].map(([code, id]) => [id, code]));
  const silences: number[] = [];
  const { sequences } = await model.generate(encoded, {
    ...GREEDY,
    decoderStartTokenId: start,
    maxNewTokens: 1,
    logitsProcessors: [
      (scores) => {
        silences.push(probabilityOf(scores, tokens.noTimestamps - 1)); // <|nospeech|> comes before <|notimestamps|>
        if (isKnown) return;
        for (let token = 0; token < scores.length; token++)
          if (!codes.has(token)) scores[token] = Number.NEGATIVE_INFINITY;
      },
    ],
    signal,
  });
  if (!isKnown)
    for (const [i, track] of tracks.entries()) track.language ??= codes.get(sequences[i]?.[0] as number) ?? null;
  return silences;
}

/** Options for the first step. The generation settings of a model's files concern text, not the token of a language. */
const GREEDY: GenerateOptions = {
  prefix: [],
  suppressTokens: [],
  beginSuppressTokens: [],
  stopTokens: [],
  numBeams: 1,
  doSample: false,
};

/** Groups tracks whose decoders read the same number of tokens before the text. Returns their indices. */
function groupByPrefixLength(whisper: WhisperContext, tracks: readonly Track[], options: WindowedOptions): number[][] {
  const groups = new Map<number, number[]>();
  for (const [i, track] of tracks.entries()) {
    const { length } = prefixOf(whisper, track, options);
    groups.set(length, [...(groups.get(length) ?? []), i]);
  }
  return [...groups.values()];
}

/** Tokens that the decoder reads before the text: the preceding text if it is context, and the tokens for the task. */
function prefixOf(
  whisper: WhisperContext,
  track: Track,
  { timestamps, task, prompt, conditionsOnPrevious }: WindowedOptions,
): number[] {
  const { start, startOfPast, model } = whisper;
  const forced = [start, ...whisper.prefix(track.language ?? undefined, task, timestamps)];
  const max = Math.floor(model.maxLength / 2) - 1;
  const all = conditionsOnPrevious || track.windows.length === 0 ? [...prompt, ...track.tokens] : [];
  const past = track.hasContext && startOfPast !== undefined ? all.slice(-max) : [];
  return past.length > 0 ? [startOfPast as number, ...past, ...forced] : forced;
}

/** A window that is being transcribed. */
interface Window {
  readonly track: Track;
  /** Probability of silence; null if it was not computed. */
  readonly silence: number | null;
}

/** Tokens that were generated for a window. */
interface WindowTokens {
  readonly prefix: readonly number[];
  readonly tokens: readonly number[];
  readonly isComplete: boolean;
  /** Mean log-probability of the tokens. */
  readonly meanLogProbability: number;
  readonly quality: SpeechQuality | null;
}

/**
 * Transcribes one window of each track, again at higher temperatures if it fails a threshold, and moves to the next
 * window.
 */
async function transcribeWindows(
  whisper: WhisperContext,
  windows: readonly Window[],
  encoded: Tensor,
  options: WindowedOptions,
): Promise<void> {
  const { temperatures, limits } = options;
  const generated = await generateTokens(whisper, windows, encoded, temperatures?.[0] ?? null, options);
  for (const [i, source] of windows.entries()) {
    let result = generated[i] as WindowTokens;
    const alone = inference(whisper.model, () => encoded.rows(i, i + 1));
    try {
      const window = await withSilence(whisper, source, result, alone, options);
      for (const temperature of temperatures?.slice(1) ?? []) {
        if (isSilent(whisper, window, result, limits) || !(await isDoubtful(whisper, result, limits))) break;
        [result] = (await generateTokens(whisper, [window], alone, temperature, options)) as [WindowTokens];
      }
      await addToTrack(whisper, window, result, alone, options);
    } finally {
      alone.dispose();
    }
  }
}

/** Samples below this magnitude, -60 dB of full scale, are noise of the recorder. */
const MAX_NOISE = 1e-3;

/** True if no sample of the next window is louder than the recorder's noise. */
function isQuiet({ extractor }: WhisperContext, { recording, seek }: Track): boolean {
  const perFrame = extractor.samples / extractor.frames;
  return recording.samples
    .subarray(seek * perFrame, (seek + extractor.frames) * perFrame)
    .every((x) => Math.abs(x) < MAX_NOISE);
}

/** The mean log-probability below which a window may be silent, if the caller gives none: Whisper's default. */
const UNLIKELY_LOG_PROBABILITY = -1;

const isUnlikely = ({ meanLogProbability }: WindowTokens, { logProbability }: QualityLimits) =>
  meanLogProbability < (logProbability ?? UNLIKELY_LOG_PROBABILITY);

/** Returns the window with its probability of silence, which is computed only if the text is unlikely. */
async function withSilence(
  whisper: WhisperContext,
  window: Window,
  generated: WindowTokens,
  encoded: Tensor,
  { limits, signal }: WindowedOptions,
): Promise<Window> {
  if (window.silence !== null || limits.noSpeech === null || !isUnlikely(generated, limits)) return window;
  const [silence] = (await firstStep(whisper, [window.track], encoded, signal)) as [number];
  return { ...window, silence };
}

/**
 * True if nothing is said in the window: the model finds silence probable, and either its text is unlikely or the sound
 * itself is quiet. Whisper's rule alone would keep " you", which the model is sure of when it hears digital silence.
 */
function isSilent(
  whisper: WhisperContext,
  { track, silence }: Window,
  generated: WindowTokens,
  limits: QualityLimits,
): boolean {
  const { noSpeech } = limits;
  if (noSpeech === null || silence === null || silence <= noSpeech) return false;
  return isUnlikely(generated, limits) || isQuiet(whisper, track);
}

async function isDoubtful({ model }: WhisperContext, generated: WindowTokens, limits: QualityLimits): Promise<boolean> {
  if (limits.logProbability !== null && isUnlikely(generated, limits)) return true;
  const { compressionRatio: max } = limits;
  return max !== null && (await compressionRatio(tokenIdBytes(generated.tokens, model.vocabSize))) > max;
}

async function generateTokens(
  whisper: WhisperContext,
  windows: readonly Window[],
  encoded: Tensor,
  temperature: number | null,
  options: WindowedOptions,
): Promise<WindowTokens[]> {
  const { model, tokens } = whisper;
  const { timestamps, generate, measuresQuality, signal, onToken } = options;
  const prefixes = windows.map(({ track }) => prefixOf(whisper, track, options));
  const prefixLength = prefixes[0]?.length as number; // all have as many
  const rules = timestampRules(tokens, () => prefixLength);
  const chosen = measuresQuality && (generate.numBeams ?? 1) === 1 ? new ChosenScores() : null;
  const max = generate.maxNewTokens;
  const { sequences, finishReasons, logProbabilities } = await model.generate(encoded, {
    ...generate,
    ...(max === undefined ? {} : { maxNewTokens: Math.min(max + prefixLength - 1, model.maxLength) }),
    ...(temperature === null ? {} : samplingAt(temperature, generate)),
    decoderStartTokenId: prefixes[0]?.[0] as number,
    stopTokens: [tokens.end],
    prefix: prefixes.map((prefix) => prefix.slice(1)),
    logitsProcessors: [
      ...(timestamps ? [rules] : []),
      ...(generate.logitsProcessors ?? []),
      ...(chosen ? [chosen.process] : []),
    ],
    batchSize: windows.length,
    signal,
    onToken:
      onToken &&
      (({ sequence, token }) => {
        const window = windows[sequence] as Window;
        if (!isReportedAtEnd(window, options)) onToken(window.track.index, token);
      }),
  });
  return Promise.all(
    windows.map(async ({ silence }, i): Promise<WindowTokens> => {
      const newTokens = (sequences[i] as number[]).slice(prefixLength - 1);
      const isComplete = finishReasons[i] === 'stop';
      const all = (logProbabilities[i] as number[]).slice(prefixLength - 1);
      const mean = all.reduce((sum, value) => sum + value, 0) / Math.max(1, all.length);
      const meanLogProbability = chosen?.mean(i, isComplete ? tokens.end : (newTokens.at(-1) as number)) ?? mean;
      const quality = measuresQuality && {
        temperature: temperature ?? (generate.doSample ? (generate.temperature ?? 1) : 0),
        averageLogProbability: meanLogProbability,
        compressionRatio: await compressionRatio(new TextEncoder().encode(textOf(whisper, newTokens))),
        noSpeechProbability: silence ?? 0,
      };
      return {
        prefix: prefixes[i] as number[],
        tokens: newTokens,
        isComplete,
        meanLogProbability,
        quality: quality || null,
      };
    }),
  );
}

function textOf({ tokenizer, tokens: { end } }: WhisperContext, generated: readonly number[]): string {
  return tokenizer.decode(generated.filter((token) => token < end)).trim();
}

function samplingAt(temperature: number, { numBeams, topK = 0 }: GenerateOptions): GenerateOptions {
  return temperature > 0
    ? { doSample: true, temperature, numBeams: 1, topK }
    : { doSample: false, ...(numBeams === undefined ? {} : { numBeams }) };
}

/** True if the tokens of a window are reported only at its end, because it may be silent or be transcribed again. */
function isReportedAtEnd({ silence }: Window, { temperatures, limits, onToken }: WindowedOptions): boolean {
  const mayBeSilent = limits.noSpeech !== null && (silence ?? 0) > limits.noSpeech;
  return onToken === undefined || temperatures !== null || mayBeSilent;
}

/**
 * Adds the tokens of a window to its track, except those that the next window will repeat. `encoded`: the encoder's
 * output for the window.
 */
async function addToTrack(
  whisper: WhisperContext,
  window: Window,
  generated: WindowTokens,
  encoded: Tensor,
  options: WindowedOptions,
): Promise<void> {
  const { tokenTimes, limits, conditionsOnPrevious, onWindow } = options;
  const { extractor, frameTime } = whisper;
  const { track } = window;
  const { prefix, tokens, isComplete, quality } = generated;
  const frames = Math.min(extractor.frames, (track.recording.features.shape[1] as number) - track.seek);
  const { tokenCount, advance } = isSilent(whisper, window, generated, limits)
    ? { tokenCount: 0, advance: frames }
    : completeSegments(tokens, whisper, frames);
  if (tokenTimes && tokenCount > 0) {
    const read = [...prefix, ...tokens];
    const all = isComplete ? read : read.slice(0, -1);
    const framesOfSound = Math.min(extractor.frames, track.recording.frames - track.seek);
    const times = await timesOf(whisper, encoded, all, { prefixLength: prefix.length, frames: framesOfSound });
    for (const time of times.slice(0, tokenCount)) track.times.push(time + track.seek * frameTime);
  }
  track.windows.push({ seek: track.seek, first: track.tokens.length, quality });
  for (const token of tokens.slice(0, tokenCount)) track.tokens.push(token);
  if (isReportedAtEnd(window, options)) await onWindow?.(track.index, tokens.slice(0, tokenCount));
  track.hasContext = conditionsOnPrevious && (quality?.temperature ?? 0) < MAX_CONTEXT_TEMPERATURE;
  track.seek += advance;
}

/** Text that was sampled at this or a higher temperature is not used as context. */
const MAX_CONTEXT_TEMPERATURE = 0.5;

/**
 * Number of tokens that belong to complete segments, and the start of the next window in frames. That is the end of the
 * last complete segment. If the window ended with a segment or has none, it is the end of the window.
 */
function completeSegments(generated: readonly number[], { tokens, extractor, model }: WhisperContext, frames: number) {
  const isTime = (index: number) => (generated.at(index) ?? -1) >= tokens.first;
  const endsWithOne = generated.length > 1 && isTime(-1) && !isTime(-2);
  let pair = generated.length - 2;
  while (pair >= 0 && !(isTime(pair) && isTime(pair + 1))) pair--;
  if (pair < 0 || endsWithOne) return { tokenCount: generated.length, advance: frames };
  const steps = (generated[pair] as number) - tokens.first;
  return { tokenCount: pair + 2, advance: steps > 0 ? steps * (extractor.frames / model.maxSourceLength) : frames };
}
