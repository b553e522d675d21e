// What a Whisper writes of sounds of any length: window after window, each beginning where the last one was sure to have
// heard all (section 4.5 of Radford et al. 2022, "Long-form transcription").

import type { Tensor } from '../../core/tensor.js';
import type { GenerateOptions } from '../../generate/generate-options.js';
import { inference } from '../../nn/module.js';
import type { Features } from '../../pretrained/processors/features.js';
import { alignmentMatrix, warp } from './time-warping.js';
import { timestampRules } from './timestamp-rules.js';
import type { Listener, SpeechTask } from './whisper-settings.js';

/** Features of a sound, [bins, frames], of which the first `frames` are no padding. */
export interface Sound {
  readonly features: Features;
  readonly frames: number;
}

/** What was written of a sound. */
export interface Heard {
  /** Text and times; those of a window count from its beginning. */
  readonly tokens: readonly number[];
  /** When each token was said, in seconds of the sound; null if that was not asked for. */
  readonly times: readonly number[] | null;
  /** The code of its language, null where the model has none. */
  readonly language: string | null;
}

export interface ListenOptions {
  readonly timestamps: boolean;
  /** Whether the time of each token is wanted. */
  readonly tokenTimes: boolean;
  /** As `Listener.languageOf` gives it. */
  readonly language: string | null | undefined;
  readonly task: SpeechTask | null | undefined;
  readonly batchSize: number;
  readonly generate: GenerateOptions;
  readonly signal?: AbortSignal | undefined;
  /** Told of each token of a sound as it is written, and how much of the sound is done, in frames. */
  readonly onToken?: ((sound: number, token: number) => unknown) | undefined;
  readonly onWindow?: ((sound: number, frames: number) => unknown) | undefined;
}

/** A sound on the way. */
interface Track {
  readonly index: number;
  readonly sound: Sound;
  /** The frame at which the next window begins. */
  seek: number;
  language: string | null | undefined;
  readonly tokens: number[];
  readonly times: number[];
}

/**
 * Listens to sounds, several side by side, which changes nothing about what is written of each. Rejects with the reason of
 * `signal`, and what `generate` rejects with.
 */
export async function listen(listener: Listener, sounds: readonly Sound[], options: ListenOptions): Promise<Heard[]> {
  const { language, batchSize, onWindow, signal } = options;
  const tracks = sounds.map((sound, index): Track => ({ index, sound, seek: 0, language, tokens: [], times: [] }));
  const isOpen = ({ sound, seek }: Track) => seek < (sound.features.shape[1] as number);
  for (let open = tracks.filter(isOpen); open.length > 0; open = tracks.filter(isOpen)) {
    signal?.throwIfAborted();
    const batch = open.slice(0, batchSize);
    const encoded = encode(listener, batch);
    try {
      await detectLanguages(listener, batch, encoded, signal);
      await hearWindows(listener, batch, encoded, options);
    } finally {
      encoded.dispose();
    }
    for (const { index, seek, sound } of batch) await onWindow?.(index, Math.min(seek, sound.frames));
  }
  return tracks.map(({ tokens, times, language: found }) => ({
    tokens,
    times: options.tokenTimes ? times : null,
    language: found ?? null,
  }));
}

/** What the encoder makes of the next window of each, zeros behind its end. To be disposed of. */
function encode({ model, extractor }: Listener, tracks: readonly Track[]): Tensor {
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
  return inference(model, () => {
    const { hidden } = model.encode(model.device.tensor(windows, [tracks.length, featureSize, frames]));
    return hidden.reshape(tracks.length, ...model.encodedShape);
  });
}

/** The likeliest language after the start alone, where none is known yet; none has a null one in models without languages. */
async function detectLanguages(
  { model, start, languages }: Listener,
  tracks: readonly Track[],
  encoded: Tensor,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (tracks.every(({ language }) => language !== null)) return;
  const codes = new Map([...languages].map(([code, id]) => [id, code]));
  const { sequences } = await model.generate(encoded, {
    ...plain,
    decoderStartTokenId: start,
    maxNewTokens: 1,
    logitsProcessors: [
      (scores) => {
        for (let token = 0; token < scores.length; token++)
          if (!codes.has(token)) scores[token] = Number.NEGATIVE_INFINITY;
      },
    ],
    signal,
  });
  for (const [i, track] of tracks.entries()) track.language ??= codes.get(sequences[i]?.[0] as number) ?? null;
}

/** What files say of generating is for text; none of it is for the token of a language. */
const plain: GenerateOptions = {
  prefix: [],
  suppressTokens: [],
  beginSuppressTokens: [],
  stopTokens: [],
  numBeams: 1,
  doSample: false,
};

/** Writes of one window of each, and goes on to where the next one begins. */
async function hearWindows(
  listener: Listener,
  tracks: readonly Track[],
  encoded: Tensor,
  { timestamps, tokenTimes, task, generate, signal, onToken }: ListenOptions,
): Promise<void> {
  const { model, start, tokens, extractor, frameTime } = listener;
  const prefixes = tracks.map(({ language }) => listener.prefix(language ?? undefined, task, timestamps));
  const given = prefixes[0]?.length as number; // all have as many
  const rules = timestampRules(tokens, () => 1 + given);
  const most = generate.maxNewTokens;
  const { sequences, finishReasons } = await model.generate(encoded, {
    ...generate,
    ...(most === undefined ? {} : { maxNewTokens: Math.min(most + given, model.maxLength) }),
    decoderStartTokenId: start,
    stopTokens: [tokens.end],
    prefix: prefixes,
    logitsProcessors: [...(timestamps ? [rules] : []), ...(generate.logitsProcessors ?? [])],
    batchSize: tracks.length,
    signal,
    onToken: onToken && (({ sequence, token }) => onToken((tracks[sequence] as Track).index, token)),
  });
  for (const [i, track] of tracks.entries()) {
    const written = (sequences[i] as number[]).slice(given);
    const frames = Math.min(extractor.frames, (track.sound.features.shape[1] as number) - track.seek);
    const { kept, advance } = cut(written, listener, frames);
    if (tokenTimes) {
      const read = [start, ...(prefixes[i] as number[]), ...written];
      const all = finishReasons[i] === 'stop' ? read : read.slice(0, -1);
      const sounding = Math.min(extractor.frames, track.sound.frames - track.seek);
      const times = await timesOf(listener, encoded, i, all, 1 + given, sounding);
      for (const time of times.slice(0, kept)) track.times.push(time + track.seek * frameTime);
    }
    for (const token of written.slice(0, kept)) track.tokens.push(token);
    track.seek += advance;
  }
}

/**
 * How many of the tokens are sure to be whole segments, and where the next window begins, in frames: after the last segment
 * that ended, or behind this window, if it ended with one or none ended.
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

/**
 * When each token behind the first `given` of `tokens` was said, in seconds of the window, of which so many frames sound; and
 * the last time once more, for a token that was not read.
 */
async function timesOf(
  { model, alignmentHeads, medianFilterWidth, precision, extractor }: Listener,
  encoded: Tensor,
  source: number,
  tokens: readonly number[],
  given: number,
  frames: number,
): Promise<number[]> {
  const rows = tokens.length - given;
  if (rows <= 0) return [0];
  const weights = model.device.scope(() => {
    const own = encoded.rows(source, source + 1);
    return model.crossAttention(own, [tokens], alignmentHeads);
  });
  try {
    const [, heads, all, width] = weights.shape as [number, number, number, number];
    const data = (await weights.data()) as Float32Array;
    const columns = Math.max(1, Math.min(width, Math.floor((frames * width) / extractor.frames)));
    const text = new Float32Array(heads * rows * width);
    for (let head = 0; head < heads; head++) {
      const from = (head * all + given) * width;
      text.set(data.subarray(from, from + rows * width), head * rows * width);
    }
    const matrix = alignmentMatrix(text, [heads, rows, width], columns, medianFilterWidth);
    const times = Array.from(warp(matrix, rows, columns), (column) => column * precision);
    return [...times, times.at(-1) as number];
  } finally {
    weights.dispose();
  }
}
