// The batch that overlapping `generate` calls and conversations of one model share.

import { yieldToEventLoop } from '../../core/yield-to-event-loop.js';
import { maxCacheRows } from '../../ops/kv-cache.js';
import type { Generative } from '../generative.js';
import { decodersOf, disposeWith, forget, type KeptBatch } from '../model-decoders.js';
import type { PromptCache } from '../prompt-cache.js';
import type { ContinuousBatching } from './continuous-batching.js';

/** Maximum number of sequences in the batch; others wait. */
const MAX_PARALLEL = 64;

/** Properties that all contexts of a batch have in common. */
export type BatchKind = Pick<PromptCache, 'cacheType' | 'maxLength'>;

const keyOf = ({ cacheType, maxLength }: BatchKind) => `${cacheType} ${maxLength}`;

/** True if several sequences of the model can share a batch. This excludes models with an encoder or a rereadLength. */
export function canShare({ extendInParts, maxSourceLength, rereadLength }: Generative): boolean {
  return extendInParts !== undefined && !maxSourceLength && !rereadLength;
}

/** The batch for everything that a model generates at the same time with contexts of one kind. */
export class SharedBatch implements KeptBatch {
  #batching: ContinuousBatching | null = null;
  /** Number of callers between `enter` and `leave`. */
  #users = 0;
  #isRetired = false;

  private constructor(
    private readonly model: Generative,
    private readonly kind: BatchKind,
  ) {}

  /** The batch of a model for contexts of a kind. Throws DisposedError if the model was disposed of. */
  static of(model: Generative, kind: BatchKind): SharedBatch {
    const { shared } = decodersOf(model);
    const batch = (shared.get(keyOf(kind)) as SharedBatch | undefined) ?? new SharedBatch(model, kind);
    shared.set(keyOf(kind), batch);
    return batch;
  }

  /** Frees the batch of a kind if it is unused. */
  static release(model: Generative, kind: BatchKind): void {
    const { shared } = decodersOf(model);
    const batch = shared.get(keyOf(kind)) as SharedBatch | undefined;
    if (batch === undefined || batch.#users > 0) return;
    shared.delete(keyOf(kind));
    batch.retire();
  }

  /** Registers a caller. The batch is kept while it has callers. */
  enter(): void {
    this.#users++;
  }

  /** Removes a caller. */
  leave(): void {
    this.#users--;
    if (this.#isRetired && this.#users === 0) this.dispose();
  }

  /** True if several callers generate now and new sequences may join. */
  get isShared(): boolean {
    return this.#users > 1 && !this.#isRetired;
  }

  /**
   * Returns the batch, which is made at its first use. Rejects with DisposedError if the model was disposed of
   * meanwhile.
   */
  async batching(): Promise<ContinuousBatching> {
    const { ContinuousBatching: Batching } = await import('./continuous-batching.js');
    await yieldToEventLoop(); // many callers may have waited for this module
    this.#batching ??= this.#start(Batching);
    return this.#batching;
  }

  #start(Batching: typeof ContinuousBatching): ContinuousBatching {
    const { model } = this;
    const { cacheType, maxLength } = this.kind;
    disposeWith(model, this);
    return new Batching(model, {
      parallel: Math.min(MAX_PARALLEL, maxCacheRows(model.device)),
      context: maxLength + 1,
      maxWaiting: Number.MAX_SAFE_INTEGER,
      reserve: false,
      cacheType,
    });
  }

  retire(): void {
    this.#isRetired = true;
    if (this.#users === 0) this.dispose();
  }

  dispose(): void {
    forget(this.model, this);
    void this.#batching?.dispose();
    this.#batching = null;
  }
}
