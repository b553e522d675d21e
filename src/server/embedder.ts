// Embeddings for many requests at once. Sequences are packed end to end, so a batch is limited by tokens and may hold texts
// of several requests. The embedding of a text does not depend on the rest of the batch.

import { ArgumentError } from '../core/errors.js';
import { Tensor } from '../core/tensor.js';
import { QueueFullError } from '../generate/index.js';
import { CausalModel } from '../models/causal-model.js';
import { EncoderModel } from '../models/encoder-model.js';
import { inference } from '../nn/module.js';
import { pool } from '../nn/pooling.js';
import { packed, TokenBatch } from '../nn/token-batch.js';
import type { LoadedModel } from '../pretrained/index.js';
import { MAX_BATCH_TOKENS } from '../tasks/token-batches.js';

interface Waiting {
  readonly client: string;
  readonly ids: readonly number[];
  readonly resolve: (vector: Float32Array) => void;
  readonly reject: (error: unknown) => void;
  readonly signal: AbortSignal;
}

export class Embedder {
  readonly #lines = new Map<string, Waiting[]>();
  #waiting = 0;
  #running: Promise<void> | null = null;

  private constructor(
    private readonly model: LoadedModel,
    private readonly maxWaiting: number,
  ) {}

  /** Null for models that do not embed texts. */
  static of(model: LoadedModel, maxWaiting: number): Embedder | null {
    const readsTexts = model instanceof EncoderModel || model instanceof CausalModel;
    return readsTexts && model.headKind === 'none' ? new Embedder(model, maxWaiting) : null;
  }

  /** The number of waiting texts. */
  get waiting(): number {
    return this.#waiting;
  }

  /** The number of dimensions. */
  get size(): number {
    return Number(this.model.config.hidden_size);
  }

  /** The maximum number of tokens of a text. */
  get maxTokens(): number {
    return Math.min(this.model.sentenceTokens ?? Number.POSITIVE_INFINITY, this.model.maxLength);
  }

  /** Embeds each sequence of ids. Throws QueueFullError if too many texts wait already. */
  embed(sequences: readonly (readonly number[])[], client: string, signal: AbortSignal): Promise<Float32Array[]> {
    signal.throwIfAborted();
    if (this.#waiting >= this.maxWaiting) throw new QueueFullError(`${this.#waiting} texts are waiting`, 1);
    const line = this.#lines.get(client) ?? [];
    this.#lines.set(client, line);
    const vectors = sequences.map((ids) => {
      if (ids.length === 0) throw new ArgumentError('a text has no tokens');
      return new Promise<Float32Array>((resolve, reject) => line.push({ client, ids, resolve, reject, signal }));
    });
    this.#waiting += sequences.length;
    this.#running ??= this.#run().finally(() => {
      this.#running = null;
    });
    return Promise.all(vectors);
  }

  /** Ends when no text waits any more. */
  async close(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    await null; // requests that arrive together share a batch
    for (let batch = this.#next(); batch.length > 0; batch = this.#next()) {
      try {
        const vectors = await this.#vectors(batch.map(({ ids }) => ids));
        for (const [i, { resolve }] of batch.entries()) resolve(vectors[i] as Float32Array);
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
  }

  /** The texts of the next batch. Clients take turns. */
  #next(): Waiting[] {
    const batch: Waiting[] = [];
    let tokens = 0;
    while (this.#lines.size > 0 && tokens < MAX_BATCH_TOKENS) {
      for (const [client, line] of this.#lines) {
        const next = line.shift();
        if (line.length === 0) this.#lines.delete(client);
        if (next === undefined) continue;
        this.#waiting--;
        if (next.signal.aborted) next.reject(next.signal.reason);
        else {
          batch.push(next);
          tokens += next.ids.length;
        }
      }
    }
    return batch;
  }

  async #vectors(sequences: readonly (readonly number[])[]): Promise<Float32Array[]> {
    const { model } = this;
    const vectors = inference(model, () => {
      const batch = TokenBatch.from(model.device, 'inputIds', packed(sequences), null);
      const { sentenceEmbedding, lastHiddenState } = model.forward({ inputIds: batch });
      return sentenceEmbedding ?? pool(lastHiddenState as Tensor, batch, 'mean');
    });
    try {
      const [data] = (await Tensor.dataOf([vectors])) as [Float32Array];
      const size = data.length / sequences.length;
      return sequences.map((_, i) => data.subarray(i * size, (i + 1) * size));
    } finally {
      vectors.dispose();
    }
  }
}
