import { EventQueue } from '../../core/event-queue.js';
import type { BatchedResult, BatchedToken, Listener } from './batched-sequence.js';

/** Buffers the tokens of a sequence for one reader, which may be slower. */
export class TokenStream implements Listener {
  readonly #tokens = new EventQueue<BatchedToken>();
  #result: BatchedResult | null = null;

  token(token: BatchedToken): void {
    this.#tokens.push(token);
  }

  end(result: BatchedResult): void {
    this.#result = result;
    this.#tokens.end();
  }

  fail(error: unknown): void {
    this.#tokens.fail(error);
  }

  /**
   * Yields all tokens and returns the result. `leave` is called with a reason if the reader leaves, or `signal` aborts,
   * before the end. The stream ends after `left` has resolved.
   */
  read(
    signal: AbortSignal | undefined,
    leave: (reason: unknown) => void,
    left: Promise<void>,
  ): AsyncGenerator<BatchedToken, BatchedResult, void> {
    const abort = () => leave(signal?.reason);
    signal?.addEventListener('abort', abort, { once: true }); // from now on, even before the first token is requested
    return this.#all(() => {
      signal?.removeEventListener('abort', abort);
      leave(new DOMException('The reader has left', 'AbortError'));
      return left;
    });
  }

  async *#all(end: () => Promise<void>): AsyncGenerator<BatchedToken, BatchedResult, void> {
    try {
      for await (const tokens of this.#tokens) yield* tokens;
      return this.#result as BatchedResult;
    } finally {
      await end();
    }
  }
}
