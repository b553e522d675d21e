// Recordings that Whisper transcribes window by window: their transcripts, options, and state.

import type { GenerateOptions } from '../../generate/generate-options.js';
import type { Features } from '../../pretrained/processors/features.js';
import type { QualityLimits, SpeechQuality } from './quality.js';
import type { SpeechTask } from './whisper-context.js';

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
export interface Track {
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

/** A window that is being transcribed. */
export interface Window {
  readonly track: Track;
  /** Probability of silence; null if it was not computed. */
  readonly silence: number | null;
}

/** Tokens that were generated for a window. */
export interface WindowTokens {
  readonly prefix: readonly number[];
  readonly tokens: readonly number[];
  readonly isComplete: boolean;
  /** Mean log-probability of the tokens. */
  readonly meanLogProbability: number;
  readonly quality: SpeechQuality | null;
}
