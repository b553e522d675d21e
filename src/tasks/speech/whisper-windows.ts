// Whisper's transcription of recordings of any length, window after window. Each begins at the last time that the
// previous one is certain of (section 4.5 of Radford et al. 2022, "Long-form transcription").

import type { Tensor } from '../../core/tensor.js';
import type { GenerateOptions } from '../../generate/generate-options.js';
import { inferenceAsync } from '../../nn/inference-async.js';
import { inference } from '../../nn/module.js';
import { ChosenScores, compressionRatio } from './quality.js';
import { isDoubtful, isSilent, languagesAndSilences, withSilence } from './silence.js';
import { timestampRules } from './timestamp-rules.js';
import { timesOf } from './token-times.js';
import type { WhisperContext } from './whisper-context.js';
import type {
  PreparedRecording,
  Track,
  Window,
  WindowedOptions,
  WindowedTranscript,
  WindowTokens,
} from './whisper-track.js';

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
      const windows = batch.map((track, i): Window => ({ track, silence: silences[i] as number | null }));
      // Decoders that read equally many tokens before the text run as a batch.
      const prefixLengths = batch.map((track) => prefixOf(whisper, track, options).length);
      if (new Set(prefixLengths).size === 1) await transcribeWindows(whisper, windows, encoded, options);
      else
        for (const [i, window] of windows.entries())
          await withRow(whisper, encoded, i, (row) => transcribeWindows(whisper, [window], row, options));
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

/** Calls `use` with the encoder's output for window `i`, which exists until the end of the call. */
async function withRow(
  { model }: WhisperContext,
  encoded: Tensor,
  i: number,
  use: (row: Tensor) => Promise<void>,
): Promise<void> {
  const row = inference(model, () => encoded.rows(i, i + 1));
  try {
    await use(row);
  } finally {
    row.dispose();
  }
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
  for (const [i, source] of windows.entries())
    await withRow(whisper, encoded, i, async (row) => {
      let result = generated[i] as WindowTokens;
      const window = await withSilence(whisper, source, result, row, options);
      for (const temperature of temperatures?.slice(1) ?? []) {
        if (isSilent(whisper, window, result, limits) || !(await isDoubtful(whisper, result, limits))) break;
        [result] = (await generateTokens(whisper, [window], row, temperature, options)) as [WindowTokens];
      }
      await addToTrack(whisper, window, result, row, options);
    });
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
