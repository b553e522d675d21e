// Whisper's transcription of recordings of any length, window after window. Each begins at the last time that the
// previous one is certain of (section 4.5 of Radford et al. 2022, "Long-form transcription").

import type { Tensor } from '../../core/tensor.js';
import type { GenerateOptions } from '../../generate/generate-options.js';
import { inferenceInSlices } from '../../nn/inference-in-slices.js';
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
import type { Listener, SpeechTask } from './whisper-settings.js';

/**
 * A recording at the model's sampling rate. `features` is [bins, frames of all windows]; its first `frames` frames are
 * not padding.
 */
export interface Sound {
  readonly samples: Float32Array;
  readonly features: Features;
  readonly frames: number;
}

/** A window of a recording, and its text. */
export interface HeardPart {
  /** Frame at which the window begins. */
  readonly seek: number;
  /** Index of the window's first token. */
  readonly first: number;
  /** Null if it was not requested. */
  readonly quality: SpeechQuality | null;
}

/** Transcript of a recording. */
export interface Heard {
  /** Windows, in order. */
  readonly parts: readonly HeardPart[];
  /** Tokens of text and of times. Times count from the beginning of a window. */
  readonly tokens: readonly number[];
  /** Time of each token in seconds of the recording; null if times were not requested. */
  readonly times: readonly number[] | null;
  /** Code of the language; null if the model has none. */
  readonly language: string | null;
}

export interface ListenOptions {
  readonly timestamps: boolean;
  /** True to return the time of each token. */
  readonly tokenTimes: boolean;
  /** Language in the form of `Listener.languageOf`. */
  readonly language: string | null | undefined;
  readonly task: SpeechTask | null | undefined;
  /** Temperatures of attempts, one after the other while `limits` refuse; null for the temperature of `generate`. */
  readonly temperatures: readonly number[] | null;
  readonly limits: QualityLimits;
  /** True to measure the quality of each window. */
  readonly judges: boolean;
  /** Tokens of a preceding text, and whether the text of earlier windows follows them. */
  readonly prompt: readonly number[];
  readonly conditions: boolean;
  readonly batchSize: number;
  readonly generate: GenerateOptions;
  readonly signal?: AbortSignal | undefined;
  /** Called with each token as it is written, if no later step can drop it. */
  readonly onToken?: ((sound: number, token: number) => unknown) | undefined;
  /** Called with the tokens of each window that `onToken` did not report. */
  readonly onKept?: ((sound: number, tokens: readonly number[]) => unknown) | undefined;
}

/** A recording in progress. */
interface Track {
  readonly index: number;
  readonly sound: Sound;
  /** The frame at which the next window begins. */
  seek: number;
  language: string | null | undefined;
  readonly tokens: number[];
  readonly times: number[];
  readonly parts: HeardPart[];
  /** True if the next window gets the preceding text as context. */
  hasPast: boolean;
}

/**
 * Transcribes recordings, several as a batch, which does not change their texts. Rejects with the reason of `signal`,
 * and with the errors of `generate`.
 */
export async function listen(listener: Listener, sounds: readonly Sound[], options: ListenOptions): Promise<Heard[]> {
  const { language, batchSize, signal } = options;
  const tracks = sounds.map(
    (sound, index): Track => ({
      index,
      sound,
      seek: 0,
      language,
      tokens: [],
      times: [],
      parts: [],
      hasPast: options.prompt.length > 0,
    }),
  );
  const isOpen = ({ sound, seek }: Track) => sound.samples.length > 0 && seek < (sound.features.shape[1] as number);
  for (let open = tracks.filter(isOpen); open.length > 0; open = tracks.filter(isOpen)) {
    signal?.throwIfAborted();
    const batch = open.slice(0, batchSize);
    const encoded = await encode(listener, batch);
    try {
      const silences = await atStart(listener, batch, encoded, options);
      for (const group of grouped(listener, batch, options)) {
        const all = group.length === batch.length;
        for (const indices of all ? [group] : group.map((i) => [i])) {
          const own = all
            ? encoded
            : inference(listener.model, () => encoded.rows(indices[0] as number, (indices[0] as number) + 1));
          try {
            await hearWindows(
              listener,
              indices.map((i) => ({ track: batch[i] as Track, silence: silences[i] as number | null })),
              own,
              options,
            );
          } finally {
            if (own !== encoded) own.dispose();
          }
        }
      }
    } finally {
      encoded.dispose();
    }
  }
  return tracks.map(({ tokens, times, parts, language: found }) => ({
    parts,
    tokens,
    times: options.tokenTimes ? times : null,
    language: found ?? null,
  }));
}

/** Encodes the next window of each track, with zeros after its end. The caller disposes of the result. */
async function encode({ model, extractor }: Listener, tracks: readonly Track[]): Promise<Tensor> {
  const { featureSize, frames } = extractor;
  const windows = new Float32Array(tracks.length * featureSize * frames);
  for (const [i, { sound, seek }] of tracks.entries()) {
    const { data, shape } = sound.features;
    const width = shape[1] as number;
    for (let bin = 0; bin < featureSize; bin++) {
      const row = data.subarray(bin * width + seek, bin * width + Math.min(width, seek + frames));
      windows.set(row, (i * featureSize + bin) * frames);
    }
  }
  return inferenceInSlices(model, function* () {
    const { hidden } = yield* model.encodeByParts(model.device.tensor(windows, [tracks.length, featureSize, frames]));
    return hidden.reshape(tracks.length, ...model.encodedShape);
  });
}

/**
 * Finds the languages that are not known yet, and the probability of silence in each window. A probability is null if
 * nothing needs it before the text is written.
 */
async function atStart(
  listener: Listener,
  tracks: readonly Track[],
  encoded: Tensor,
  options: ListenOptions,
): Promise<(number | null)[]> {
  const { judges, limits, onToken } = options;
  const isKnown = tracks.every(({ language }) => language !== null);
  const mayBeSilent =
    limits.noSpeech !== null && (onToken !== undefined || tracks.some((track) => isQuiet(listener, track)));
  if (isKnown && !judges && !mayBeSilent) return tracks.map(() => null);
  return firstStep(listener, tracks, encoded, options.signal);
}

/**
 * Reads the start token alone. Returns the probability that nothing is said, for each window, and sets the likeliest
 * language of the tracks that have none yet.
 */
async function firstStep(
  { model, start, languages, tokens }: Listener,
  tracks: readonly Track[],
  encoded: Tensor,
  signal: AbortSignal | undefined,
): Promise<number[]> {
  const isKnown = tracks.every(({ language }) => language !== null);
  const codes = new Map([...languages].map(([code, id]) => [id, code]));
  const silences: number[] = [];
  const { sequences } = await model.generate(encoded, {
    ...plain,
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

/** The generation settings of a model's files concern text; none applies to the token of a language. */
const plain: GenerateOptions = {
  prefix: [],
  suppressTokens: [],
  beginSuppressTokens: [],
  stopTokens: [],
  numBeams: 1,
  doSample: false,
};

/** Tracks whose decoders read as many tokens before they write. */
function grouped(listener: Listener, tracks: readonly Track[], options: ListenOptions): number[][] {
  const groups = new Map<number, number[]>();
  for (const [i, track] of tracks.entries()) {
    const { length } = beforeText(listener, track, options);
    groups.set(length, [...(groups.get(length) ?? []), i]);
  }
  return [...groups.values()];
}

/** Tokens that the decoder reads before it writes: the preceding text if it is context, and the tokens for the task. */
function beforeText(
  listener: Listener,
  track: Track,
  { timestamps, task, prompt, conditions }: ListenOptions,
): number[] {
  const { start, startOfPast, model } = listener;
  const own = [start, ...listener.prefix(track.language ?? undefined, task, timestamps)];
  const most = Math.floor(model.maxLength / 2) - 1;
  const all = conditions || track.parts.length === 0 ? [...prompt, ...track.tokens] : [];
  const past = track.hasPast && startOfPast !== undefined ? all.slice(-most) : [];
  return past.length > 0 ? [startOfPast as number, ...past, ...own] : own;
}

/** A window that is being transcribed. */
interface OpenWindow {
  readonly track: Track;
  /** Probability of silence; null if the model was not asked. */
  readonly silence: number | null;
}

/** Tokens that were written for a window. */
interface Written {
  readonly before: readonly number[];
  readonly tokens: readonly number[];
  readonly isComplete: boolean;
  /** Mean log-probability of the tokens. */
  readonly likelihood: number;
  readonly quality: SpeechQuality | null;
}

/**
 * Transcribes one window of each track, again at higher temperatures if it fails a threshold, and moves to the next
 * window.
 */
async function hearWindows(
  listener: Listener,
  windows: readonly OpenWindow[],
  encoded: Tensor,
  options: ListenOptions,
): Promise<void> {
  const { temperatures, limits } = options;
  const written = await write(listener, windows, encoded, temperatures?.[0] ?? null, options);
  for (const [i, each] of windows.entries()) {
    let own = written[i] as Written;
    const alone = inference(listener.model, () => encoded.rows(i, i + 1));
    try {
      const window = await withSilence(listener, each, own, alone, options);
      for (const temperature of temperatures?.slice(1) ?? []) {
        if (isSilent(listener, window, own, limits) || !(await isDoubtful(listener, own, limits))) break;
        [own] = (await write(listener, [window], alone, temperature, options)) as [Written];
      }
      await keep(listener, window, own, encoded, i, options);
    } finally {
      alone.dispose();
    }
  }
}

/** Samples below this magnitude, -60 dB of full scale, are noise of the recorder. */
const QUIET = 1e-3;

/** True if no sample of the next window is louder than the recorder's noise. */
function isQuiet({ extractor }: Listener, { sound, seek }: Track): boolean {
  const perFrame = extractor.samples / extractor.frames;
  return sound.samples
    .subarray(seek * perFrame, (seek + extractor.frames) * perFrame)
    .every((x) => Math.abs(x) < QUIET);
}

/** The mean log-probability below which a window may be silent, if the caller gives none: Whisper's default. */
const UNLIKELY = -1;

const isUnlikely = ({ likelihood }: Written, { logProbability }: QualityLimits) =>
  likelihood < (logProbability ?? UNLIKELY);

/** The window with its probability of silence, which the model is asked for if the text is unlikely. */
async function withSilence(
  listener: Listener,
  window: OpenWindow,
  written: Written,
  encoded: Tensor,
  { limits, signal }: ListenOptions,
): Promise<OpenWindow> {
  if (window.silence !== null || limits.noSpeech === null || !isUnlikely(written, limits)) return window;
  const [silence] = (await firstStep(listener, [window.track], encoded, signal)) as [number];
  return { ...window, silence };
}

/**
 * True if nothing is said in the window: the model finds silence probable, and either its text is unlikely or the sound
 * itself is quiet. Whisper's rule alone would keep " you", which the model is sure of when it hears digital silence.
 */
function isSilent(
  listener: Listener,
  { track, silence }: OpenWindow,
  written: Written,
  limits: QualityLimits,
): boolean {
  const { noSpeech } = limits;
  if (noSpeech === null || silence === null || silence <= noSpeech) return false;
  return isUnlikely(written, limits) || isQuiet(listener, track);
}

async function isDoubtful({ model }: Listener, written: Written, limits: QualityLimits): Promise<boolean> {
  if (limits.logProbability !== null && isUnlikely(written, limits)) return true;
  const { compressionRatio: most } = limits;
  return most !== null && (await compressionRatio(tokenIdBytes(written.tokens, model.vocabSize))) > most;
}

async function write(
  listener: Listener,
  windows: readonly OpenWindow[],
  encoded: Tensor,
  temperature: number | null,
  options: ListenOptions,
): Promise<Written[]> {
  const { model, tokens } = listener;
  const { timestamps, generate, judges, signal, onToken } = options;
  const befores = windows.map(({ track }) => beforeText(listener, track, options));
  const given = befores[0]?.length as number; // all have as many
  const rules = timestampRules(tokens, () => given);
  const chosen = judges && (generate.numBeams ?? 1) === 1 ? new ChosenScores() : null;
  const most = generate.maxNewTokens;
  const { sequences, finishReasons, logProbabilities } = await model.generate(encoded, {
    ...generate,
    ...(most === undefined ? {} : { maxNewTokens: Math.min(most + given - 1, model.maxLength) }),
    ...(temperature === null ? {} : drawn(temperature, generate)),
    decoderStartTokenId: befores[0]?.[0] as number,
    stopTokens: [tokens.end],
    prefix: befores.map((before) => before.slice(1)),
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
        const window = windows[sequence] as OpenWindow;
        if (!isHeldBack(window, options)) onToken(window.track.index, token);
      }),
  });
  return Promise.all(
    windows.map(async ({ silence }, i): Promise<Written> => {
      const own = (sequences[i] as number[]).slice(given - 1);
      const isComplete = finishReasons[i] === 'stop';
      const all = (logProbabilities[i] as number[]).slice(given - 1);
      const mean = all.reduce((sum, each) => sum + each, 0) / Math.max(1, all.length);
      const likelihood = chosen?.mean(i, isComplete ? tokens.end : (own.at(-1) as number)) ?? mean;
      const quality = judges && {
        temperature: temperature ?? (generate.doSample ? (generate.temperature ?? 1) : 0),
        averageLogProbability: likelihood,
        compressionRatio: await compressionRatio(new TextEncoder().encode(textOf(listener, own))),
        noSpeechProbability: silence ?? 0,
      };
      return { before: befores[i] as number[], tokens: own, isComplete, likelihood, quality: quality || null };
    }),
  );
}

function textOf({ tokenizer, tokens: { end } }: Listener, written: readonly number[]): string {
  return tokenizer.decode(written.filter((token) => token < end)).trim();
}

function drawn(temperature: number, { numBeams, topK = 0 }: GenerateOptions): GenerateOptions {
  return temperature > 0
    ? { doSample: true, temperature, numBeams: 1, topK }
    : { doSample: false, ...(numBeams === undefined ? {} : { numBeams }) };
}

/** True if the tokens of a window are reported only at its end, because it may be silent or be transcribed again. */
function isHeldBack({ silence }: OpenWindow, { temperatures, limits, onToken }: ListenOptions): boolean {
  const mayBeSilent = limits.noSpeech !== null && (silence ?? 0) > limits.noSpeech;
  return onToken === undefined || temperatures !== null || mayBeSilent;
}

/** Adds the tokens of a window to its track, except those that the next window will repeat. */
async function keep(
  listener: Listener,
  window: OpenWindow,
  written: Written,
  encoded: Tensor,
  row: number,
  options: ListenOptions,
): Promise<void> {
  const { tokenTimes, limits, conditions, onKept } = options;
  const { extractor, frameTime } = listener;
  const { track } = window;
  const { before, tokens, isComplete, quality } = written;
  const frames = Math.min(extractor.frames, (track.sound.features.shape[1] as number) - track.seek);
  const { kept, advance } = isSilent(listener, window, written, limits)
    ? { kept: 0, advance: frames }
    : cut(tokens, listener, frames);
  if (tokenTimes && kept > 0) {
    const read = [...before, ...tokens];
    const all = isComplete ? read : read.slice(0, -1);
    const sounding = Math.min(extractor.frames, track.sound.frames - track.seek);
    const times = await timesOf(listener, encoded, row, all, before.length, sounding);
    for (const time of times.slice(0, kept)) track.times.push(time + track.seek * frameTime);
  }
  track.parts.push({ seek: track.seek, first: track.tokens.length, quality });
  for (const token of tokens.slice(0, kept)) track.tokens.push(token);
  if (isHeldBack(window, options)) await onKept?.(track.index, tokens.slice(0, kept));
  track.hasPast = conditions && (quality?.temperature ?? 0) < RESETS;
  track.seek += advance;
}

/** Text that was sampled at this or a higher temperature is not used as context. */
const RESETS = 0.5;

/**
 * Number of tokens that belong to complete segments, and the start of the next window in frames. That is the end of the
 * last complete segment. If the window ended with a segment or has none, it is the end of the window.
 */
function cut(written: readonly number[], { tokens, extractor, model }: Listener, frames: number) {
  const isTime = (place: number) => (written.at(place) ?? -1) >= tokens.first;
  const endsWithOne = written.length > 1 && isTime(-1) && !isTime(-2);
  let pair = written.length - 2;
  while (pair >= 0 && !(isTime(pair) && isTime(pair + 1))) pair--;
  if (pair < 0 || endsWithOne) return { kept: written.length, advance: frames };
  const steps = (written[pair] as number) - tokens.first;
  return { kept: pair + 2, advance: steps > 0 ? steps * (extractor.frames / model.maxSourceLength) : frames };
}
