import { Whisper } from '../models/families/whisper.js';
import { SoundModel } from '../models/sound-model.js';
import type { LoadedModel } from '../pretrained/index.js';
import type { Recording } from '../pretrained/processors/wav.js';
import { WhisperFeatureExtractor } from '../pretrained/processors/whisper.js';
import { type Pipeline, pipeline, type SpeechRecognitionOptions, type TranscriptChunk } from '../tasks/index.js';
import { isPartTranscribed } from '../tasks/speech/part-transcriber.js';
import type { PretrainedTokenizer } from '../tokenizers/huggingface.js';
import { JobQueue } from './job-queue.js';

export interface Transcription {
  readonly text: string;
  readonly chunks?: readonly TranscriptChunk[];
}

/** Transcribes one recording after the other, because each keeps all threads busy. */
export class Transcriber {
  readonly jobs: JobQueue;

  private constructor(
    private readonly recognize: Pipeline<'automatic-speech-recognition'>,
    private readonly tokenizer: PretrainedTokenizer,
    /** True if the model has languages, prompts and qualities of segments: Whisper. */
    readonly isWhisper: boolean,
    /** True if the model gives times of words. */
    readonly hasWordTimes: boolean,
    maxWaiting: number,
  ) {
    this.jobs = new JobQueue(maxWaiting);
  }

  /** Null for models that do not transcribe speech. */
  static async of(model: LoadedModel, maxWaiting: number): Promise<Transcriber | null> {
    const { tokenizer, processor, headKind } = model;
    const isWhisper = model instanceof Whisper && processor instanceof WhisperFeatureExtractor;
    const isCtc = headKind === 'ctc' && model instanceof SoundModel;
    if (tokenizer === null || processor === null || !(isWhisper || isCtc || isPartTranscribed(model))) return null;
    const recognize = await pipeline('automatic-speech-recognition', model);
    return new Transcriber(recognize, tokenizer, isWhisper, headKind !== 'language-model' || isWhisper, maxWaiting);
  }

  /** Returns the ids of a text that precedes a recording. */
  promptOf(text: string): number[] {
    return text.trim() === '' ? [] : this.tokenizer.encode(` ${text.trim()}`, { addSpecial: false });
  }

  /** Rejects with QueueFullError if too many recordings wait already, and with the errors of the task. */
  transcribe(
    recording: Recording,
    options: SpeechRecognitionOptions,
    client: string,
    signal: AbortSignal,
  ): Promise<Transcription> {
    const { return_timestamps: times, onText } = options;
    const isCtc = this.recognize.model.headKind === 'ctc'; // such models have times of words, but no segments
    const return_timestamps = isCtc && times === true ? 'word' : times;
    const supported = this.isWhisper ? options : { return_timestamps, onText };
    return this.jobs.run(client, signal, () => this.recognize(recording, { ...supported, signal }));
  }
}
