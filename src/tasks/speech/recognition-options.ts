// Options and results of automatic-speech-recognition, which all of its models share.

import type { GenerationArguments } from '../generation-arguments.js';
import type { CallOptions } from '../task.js';
import type { TranscriptChunk } from './transcript.js';
import type { SpeechTask } from './whisper-settings.js';

export interface SpeechRecognitionOptions extends CallOptions, Omit<GenerationArguments, 'temperature'> {
  /**
   * With `do_sample` what is drawn with. Several, as `[0, 0.2, 0.4, 0.6, 0.8, 1]`: a window is written again at the next
   * one as long as a threshold below is not kept; 0 takes what is likeliest. Default: the likeliest, once.
   */
  temperature?: number | readonly number[] | undefined;
  /** Above this ratio of the bytes of its tokens to those that zlib makes of them a window is written again. Default: never. */
  compression_ratio_threshold?: number | null | undefined;
  /**
   * A window whose mean log-probability is below this is written again. Default: no window is. The same number decides
   * whether an unlikely text is silence; there the default is -1.
   */
  logprob_threshold?: number | null | undefined;
  /**
   * Threshold of the model's probability that nobody speaks. Above it, a window is silent if its text is less likely
   * than `logprob_threshold`, or all samples are below -60 dB of full scale. A silent window has no text. Null disables
   * the check. Default 0.6, as in Whisper.
   */
  no_speech_threshold?: number | null | undefined;
  /**
   * True gives a window the preceding text as context, unless that was drawn at a temperature of 0.5 or more. Default
   * false.
   */
  condition_on_prev_tokens?: boolean | undefined;
  /** Tokens of a text that might come before, for names and style; `<|startofprev|>` at their beginning may be left out. */
  prompt_ids?: readonly number[] | undefined;
  /** True adds the model's confidence to segments, as `quality`. Default false. */
  return_quality?: boolean | undefined;
  /**
   * True to return `chunks` with times: segments, words with 'word', letters with 'char'. Whisper gives segments and words;
   * models that spell (wav2vec 2.0, Parakeet CTC) give words, also with true, and letters. Moonshine gives the parts that
   * it reads, and transducers also words. Default: false.
   */
  return_timestamps?: boolean | 'word' | 'char' | undefined;
  /**
   * Length in seconds of overlapping windows that are transcribed side by side. This is faster, but less exact than the
   * default 0: one window of 30 seconds after the other, each from the end of a sentence.
   */
  chunk_length_s?: number | undefined;
  /** Seconds that a window shares with each of its neighbours, or with the one before and the one behind. Default: a sixth. */
  stride_length_s?: number | readonly [left: number, right: number] | undefined;
  /** Language, such as `de` or `german`. Default: detected, if the model has several languages. */
  language?: string | null | undefined;
  /** `translate` writes in English. Default `transcribe`. */
  task?: SpeechTask | null | undefined;
  /** True adds the language to chunks. Without times, each language then has a chunk. Default false. */
  return_language?: boolean | undefined;
  /**
   * Called with each piece of text once it is final. Windows that are transcribed side by side are reported in no
   * order.
   */
  onText?: ((piece: { readonly recording: number; readonly text: string }) => unknown) | undefined;
}

/** Transcript of a recording. */
export interface SpeechRecognitionOutput {
  readonly text: string;
  /** With `return_timestamps` or `return_language`. */
  readonly chunks?: TranscriptChunk[];
}
