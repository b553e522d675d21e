// Options and results of automatic-speech-recognition, which all of its models share.

import type { GenerationArguments } from '../generation-arguments.js';
import type { CallOptions } from '../task.js';
import type { TranscriptChunk } from './transcript.js';
import type { SpeechTask } from './whisper-context.js';

export interface SpeechRecognitionOptions extends CallOptions, Omit<GenerationArguments, 'temperature'> {
  /**
   * Sampling temperature, used with `do_sample`. 0 is greedy. A list, such as `[0, 0.2, 0.4, 0.6, 0.8, 1]`, has
   * temperatures for repeated attempts. A window is transcribed again at the next one while its text fails a threshold
   * below. Default: greedy, once.
   */
  temperature?: number | readonly number[] | undefined;
  /**
   * A window is transcribed again if its text compresses better than this: the ratio of its bytes to those that zlib
   * makes of them. Default: never.
   */
  compression_ratio_threshold?: number | null | undefined;
  /**
   * A window is transcribed again if the mean log-probability of its tokens is below this. Default: never. It also
   * decides if an unlikely text counts as silence; for that the default is -1.
   */
  logprob_threshold?: number | null | undefined;
  /**
   * Threshold of the probability of silence. Above it, a window is silent if its text is less likely than
   * `logprob_threshold`, or if all samples are below -60 dB of full scale. A silent window has no text. Null disables
   * the check. Default: 0.6, as in Whisper.
   */
  no_speech_threshold?: number | null | undefined;
  /**
   * True if a window gets the preceding text as context, unless that text was sampled at a temperature of 0.5 or more.
   * Default: false.
   */
  condition_on_prev_tokens?: boolean | undefined;
  /** Tokens of a preceding text, which suggests names and style. A leading `<|startofprev|>` may be left out. */
  prompt_ids?: readonly number[] | undefined;
  /** True to add the model's confidence to segments, as `quality`. Default: false. */
  return_quality?: boolean | undefined;
  /**
   * True to return `chunks` with times: segments. 'word' gives words, and 'char' letters. Whisper supports segments and
   * words. CTC models (wav2vec 2.0, Parakeet CTC) support words, also for true, and letters. Moonshine supports
   * the parts that it reads, and transducers also words. Default: false.
   */
  return_timestamps?: boolean | 'word' | 'char' | undefined;
  /**
   * Length in seconds of overlapping windows that are transcribed as a batch. This is faster, but less exact than the
   * default 0: windows of 30 seconds, each of which begins at the end of the previous one's last sentence.
   */
  chunk_length_s?: number | undefined;
  /**
   * Overlap in seconds of a window with each neighbour, or with the previous and the next one. Default: a sixth of the
   * window.
   */
  stride_length_s?: number | readonly [left: number, right: number] | undefined;
  /** Language, such as `de` or `german`. Default: detected, if the model has several languages. */
  language?: string | null | undefined;
  /** `translate` writes English. Default: `transcribe`. */
  task?: SpeechTask | null | undefined;
  /** True to add the language to chunks. Without timestamps, each language then has a chunk. Default: false. */
  return_language?: boolean | undefined;
  /** Called with each piece of text once it is final. Windows of a batch are reported in any order. */
  onText?: ((piece: { readonly recording: number; readonly text: string }) => unknown) | undefined;
}

/** Transcript of a recording. */
export interface SpeechRecognitionOutput {
  readonly text: string;
  /** With `return_timestamps` or `return_language`. */
  readonly chunks?: TranscriptChunk[];
}
