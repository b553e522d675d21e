import type { LoadedModel } from '../pretrained/index.js';
import { type Pipeline, pipeline, type RawAudio, type TextToSpeechOptions } from '../tasks/index.js';
import { JobQueue } from './job-queue.js';

/** Speaks one text after the other, because each keeps all threads busy. */
export class Speaker {
  readonly jobs: JobQueue;

  private constructor(
    private readonly pipeline: Pipeline<'text-to-speech'>,
    maxWaiting: number,
  ) {
    this.jobs = new JobQueue(maxWaiting);
  }

  /** Null for models that do not speak. */
  static async of(model: LoadedModel, maxWaiting: number): Promise<Speaker | null> {
    if (model.config.model_type !== 'vits' || model.tokenizer === null) return null;
    return new Speaker(await pipeline('text-to-speech', model), maxWaiting);
  }

  /** Rejects with QueueFullError if too many texts wait already, and with the errors of the task. */
  speak(text: string, options: TextToSpeechOptions, client: string, signal: AbortSignal): Promise<RawAudio> {
    return this.jobs.run(client, signal, () => this.pipeline(text, { ...options, signal }));
  }
}
