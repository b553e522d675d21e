import { Whisper } from '../models/families/whisper.js';
import type { LoadedModel } from '../pretrained/index.js';
import type { Recording } from '../pretrained/processors/wav.js';
import { WhisperFeatureExtractor } from '../pretrained/processors/whisper.js';
import { type Pipeline, pipeline, type SpeechRecognitionOptions, type TranscriptChunk } from '../tasks/index.js';
import type { PretrainedTokenizer } from '../tokenizers/huggingface.js';
import { Turns } from './turns.js';

export interface Transcription {
  readonly text: string;
  readonly chunks?: readonly TranscriptChunk[];
}

/** Transcribes one recording after the other: each keeps all threads busy. */
export class Transcriber {
  readonly turns: Turns;

  private constructor(
    private readonly recognize: Pipeline<'automatic-speech-recognition'>,
    private readonly tokenizer: PretrainedTokenizer,
    maxWaiting: number,
  ) {
    this.turns = new Turns(maxWaiting);
  }

  /** Null for models that do not transcribe speech. */
  static async of(model: LoadedModel, maxWaiting: number): Promise<Transcriber | null> {
    const hears = model instanceof Whisper && model.processor instanceof WhisperFeatureExtractor && model.tokenizer;
    return hears ? new Transcriber(await pipeline('automatic-speech-recognition', model), hears, maxWaiting) : null;
  }

  /** The ids of a text that precedes a recording. */
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
    return this.turns.run(client, signal, () => this.recognize(recording, { ...options, signal }));
  }
}
