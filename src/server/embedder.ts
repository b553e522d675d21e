// Embeddings for many requests at once. Sequences are packed end to end, so a batch is limited by tokens and may hold
// texts of several requests. The embedding of a text does not depend on the rest of the batch.

import { ArgumentError } from '../core/errors.js';
import { QueueFullError } from '../generate/index.js';
import { CausalModel } from '../models/causal-model.js';
import { EncoderModel } from '../models/encoder-model.js';
import { embedTokens, tokenize } from '../models/retrieval/encode.js';
import type { TextTask } from '../models/retrieval/features.js';
import { tokenLimit } from '../models/retrieval/reader.js';
import { MAX_BATCH_TOKENS } from '../models/token-batches.js';
import type { LoadedModel } from '../pretrained/index.js';

/** The maximum number of tokens of a text for models without a limit: tables of vectors. */
const MAX_TOKENS = 2 ** 20;

/** A text as tokens, and options for reading it. */
export interface TextTokens {
  readonly ids: readonly number[];
  /** The segment of each token; null if all are 0. */
  readonly types: readonly number[] | null;
  readonly task: TextTask;
  /** The number of first tokens that belong to a prompt. */
  readonly promptTokens: number;
}

/** The prompt of a text, and its use. */
export interface TextUse {
  readonly task: TextTask;
  readonly prompt?: string | undefined;
  readonly promptName?: string | undefined;
}

interface Waiting extends TextTokens {
  readonly client: string;
  readonly resolve: (vector: Float32Array) => void;
  readonly reject: (error: unknown) => void;
  readonly signal: AbortSignal;
}

export class Embedder {
  readonly #queues = new Map<string, Waiting[]>();
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
    const { model } = this;
    return Math.min(model.sentenceTokens ?? MAX_TOKENS, tokenLimit(model), MAX_TOKENS);
  }

  /** Tokenizes a text. If it is longer than the model's limit, it is cut if `isCut`. */
  async tokenize(text: string, { task, ...prompt }: TextUse, isCut: boolean): Promise<TextTokens> {
    const { inputIds, tokenTypeIds, promptTokens } = await tokenize(this.model, [text], task, {
      ...prompt,
      truncate: isCut,
    });
    return { ids: inputIds[0] as readonly number[], types: tokenTypeIds?.[0] ?? null, task, promptTokens };
  }

  /** Embeds each text. Throws QueueFullError if too many texts wait already. */
  embed(texts: readonly TextTokens[], client: string, signal: AbortSignal): Promise<Float32Array[]> {
    signal.throwIfAborted();
    if (this.#waiting >= this.maxWaiting) throw new QueueFullError(`${this.#waiting} texts are waiting`, 1);
    const queue = this.#queues.get(client) ?? [];
    this.#queues.set(client, queue);
    const vectors = texts.map((text) => {
      if (text.ids.length === 0) throw new ArgumentError('a text has no tokens');
      return new Promise<Float32Array>((resolve, reject) => queue.push({ client, ...text, resolve, reject, signal }));
    });
    this.#waiting += texts.length;
    this.#running ??= this.#run().finally(() => {
      this.#running = null;
    });
    return Promise.all(vectors);
  }

  /** Resolves when no text waits any more. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    await null; // requests that arrive together share a batch
    for (let batch = this.#nextBatch(); batch.length > 0; batch = this.#nextBatch()) {
      try {
        for (const texts of groupAlike(batch)) {
          const vectors = await this.#vectors(texts);
          for (const [i, { resolve }] of texts.entries()) resolve(vectors[i] as Float32Array);
        }
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
  }

  /** Returns the texts of the next batch. Clients take turns. */
  #nextBatch(): Waiting[] {
    const batch: Waiting[] = [];
    let tokens = 0;
    while (this.#queues.size > 0 && tokens < MAX_BATCH_TOKENS) {
      for (const [client, queue] of this.#queues) {
        const next = queue.shift();
        if (queue.length === 0) this.#queues.delete(client);
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

  #vectors(texts: readonly TextTokens[]): Promise<Float32Array[]> {
    const { task, promptTokens } = texts[0] as TextTokens;
    const hasTypes = texts.every(({ types }) => types !== null);
    const encoded = {
      inputIds: texts.map(({ ids }) => ids),
      tokenTypeIds: hasTypes ? texts.map(({ types }) => types as readonly number[]) : null,
      promptTokens,
      attentionMask: null,
    };
    return embedTokens(this.model, encoded, task);
  }
}

/** Groups texts that one pass can read. They have the same task and prompt length, and all or none have segments. */
function groupAlike(texts: readonly Waiting[]): Waiting[][] {
  const groups = new Map<string, Waiting[]>();
  for (const text of texts) {
    const key = `${text.task} ${text.promptTokens} ${text.types === null}`;
    groups.set(key, [...(groups.get(key) ?? []), text]);
  }
  return [...groups.values()];
}
