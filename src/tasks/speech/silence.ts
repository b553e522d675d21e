// Which windows are silent, and which texts are doubtful (section 4.5 of Radford et al. 2022).

import type { Tensor } from '../../core/tensor.js';
import type { GenerateOptions } from '../../generate/generate-options.js';
import { compressionRatio, probabilityOf, type QualityLimits, tokenIdBytes } from './quality.js';
import type { WhisperContext } from './whisper-context.js';
import type { Track, Window, WindowedOptions, WindowTokens } from './whisper-track.js';

/**
 * Finds the languages that are not known yet, and the probability of silence in each window. A probability is null if
 * nothing needs it before the text is written.
 */
export async function languagesAndSilences(
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
export async function withSilence(
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
export function isSilent(
  whisper: WhisperContext,
  { track, silence }: Window,
  generated: WindowTokens,
  limits: QualityLimits,
): boolean {
  const { noSpeech } = limits;
  if (noSpeech === null || silence === null || silence <= noSpeech) return false;
  return isUnlikely(generated, limits) || isQuiet(whisper, track);
}

export async function isDoubtful(
  { model }: WhisperContext,
  generated: WindowTokens,
  limits: QualityLimits,
): Promise<boolean> {
  if (limits.logProbability !== null && isUnlikely(generated, limits)) return true;
  const { compressionRatio: max } = limits;
  return max !== null && (await compressionRatio(tokenIdBytes(generated.tokens, model.vocabSize))) > max;
}
