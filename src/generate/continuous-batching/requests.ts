// Requests to ContinuousBatching, and what it answers.

import { SimdformerError } from '../../core/errors.js';
import type { BatchedResult, BatchedToken } from './batched-sequence.js';
import type { BatchedOptions } from './options.js';

/** Thrown if the queue of waiting requests is full. The caller may try again later. */
export class QueueFullError extends SimdformerError {
  override get name() {
    return 'QueueFullError';
  }

  constructor(
    message: string,
    /** Estimated seconds until a request would be accepted. */
    readonly retryAfterSeconds: number,
  ) {
    super(message);
  }
}

/** Counters of the current load. */
export interface BatchingLoad {
  readonly running: number;
  readonly waiting: number;
  /** Totals since the start: prompt tokens read, prompt tokens found in a cache, and generated tokens. */
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly generatedTokens: number;
  readonly steps: number;
}

/** A prompt with its options. */
export interface BatchedRequest {
  readonly prompt: readonly number[];
  readonly options?: BatchedOptions | undefined;
}

/** Sequences that have joined together. */
export interface JoinedSequences {
  /** Ends the unfinished sequences. Their listeners get `reason`. */
  leave(reason: unknown): void;
  /** Resolves when all sequences have left their rows. */
  readonly left: Promise<unknown>;
}

/** Yields tokens when they are chosen. The iterator returns the result of the sequence. */
export type BatchedStream = AsyncGenerator<BatchedToken, BatchedResult, void>;
