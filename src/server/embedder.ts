// Vectors of texts for many requests at once: sequences are packed end to end, so a batch is as many tokens as fit,
// whoever asked for them, and what a text gets does not depend on what lies beside it.

import { ArgumentError } from '../core/errors.js';
import { Tensor } from '../core/tensor.js';
import { QueueFullError } from '../generate/index.js';
import { CausalModel } from '../models/causal-model.js';
import { EncoderModel } from '../models/encoder-model.js';
import { inference } from '../nn/module.js';
import { pool } from '../nn/pooling.js';
import { packed, TokenBatch } from '../nn/token-batch.js';
import type { LoadedModel } from '../pretrained/index.js';

/** Tokens of a batch: enough for large products, few enough that nobody waits long for the next one. */
const BATCH_TOKENS = 4096;

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
    private readonly mostWaiting: number,
  ) {}

  /** Null for models that make no vectors of texts. */
  static of(model: LoadedModel, mostWaiting: number): Embedder | null {
    const readsTexts = model instanceof EncoderModel || model instanceof CausalModel;
    return readsTexts && model.headKind === 'none' ? new Embedder(model, mostWaiting) : null;
  }

  /** Texts that wait. */
  get waiting(): number {
    return this.#waiting;
  }

  /** Numbers of a vector at most. */
  get size(): number {
    return Number(this.model.config.hidden_size);
  }

  /** Tokens of a text at most. */
  get maxTokens(): number {
    return Math.min(this.model.sentenceTokens ?? Number.POSITIVE_INFINITY, this.model.maxLength);
  }

  /** A vector of each sequence of ids. Throws QueueFullError where too many wait already. */
  embed(sequences: readonly (readonly number[])[], client: string, signal: AbortSignal): Promise<Float32Array[]> {
    signal.throwIfAborted();
    if (this.#waiting >= this.mostWaiting) throw new QueueFullError(`${this.#waiting} texts are waiting`, 1);
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

  /** Ends when nothing waits any more. */
  async close(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    await null; // those that come together are computed together
    for (let batch = this.#next(); batch.length > 0; batch = this.#next()) {
      try {
        const vectors = await this.#vectors(batch.map(({ ids }) => ids));
        for (const [i, { resolve }] of batch.entries()) resolve(vectors[i] as Float32Array);
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
  }

  /** Some texts of each client in turn, as many as make a batch. */
  #next(): Waiting[] {
    const batch: Waiting[] = [];
    let tokens = 0;
    while (this.#lines.size > 0 && tokens < BATCH_TOKENS) {
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
