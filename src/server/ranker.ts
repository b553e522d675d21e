import type { LoadedModel } from '../pretrained/index.js';
import { JobQueue } from './job-queue.js';

type Rank = LoadedModel['rank'];

/** Ranks documents request by request. Each request is computed in its own batches. */
export class Ranker {
  readonly jobs: JobQueue;

  private constructor(
    private readonly model: LoadedModel,
    maxWaiting: number,
  ) {
    this.jobs = new JobQueue(maxWaiting);
  }

  /** Null for models that cannot score pairs: they are not cross-encoders, and cannot answer yes or no. */
  static of(model: LoadedModel, maxWaiting: number): Ranker | null {
    const { headKind, tokenizer } = model;
    const scores = headKind === 'sequence-classification' || headKind === 'language-model';
    return scores && tokenizer !== null ? new Ranker(model, maxWaiting) : null;
  }

  /** Rejects with QueueFullError if too many requests wait already, and with the errors of `model.rank`. */
  rank(
    query: string,
    documents: readonly string[],
    options: Parameters<Rank>[2],
    client: string,
    signal: AbortSignal,
  ): ReturnType<Rank> {
    return this.jobs.run(client, signal, () => this.model.rank(query, documents, { ...options, signal }));
  }
}
