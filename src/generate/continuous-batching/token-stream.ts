import type { BatchedResult, BatchedToken, Listener } from './batched-sequence.js';

/** Buffers the tokens of a sequence for one reader, which may be slower. */
export class TokenStream implements Listener {
  #tokens: BatchedToken[] = [];
  #result: BatchedResult | null = null;
  #failed: { readonly error: unknown } | null = null;
  #wake: (() => void) | null = null;

  token(token: BatchedToken): void {
    this.#tokens.push(token);
    this.#wake?.();
  }

  end(result: BatchedResult): void {
    this.#result = result;
    this.#wake?.();
  }

  fail(error: unknown): void {
    this.#failed = { error };
    this.#wake?.();
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
      for (;;) {
        const tokens = this.#tokens;
        this.#tokens = [];
        yield* tokens;
        if (this.#tokens.length > 0) continue;
        if (this.#failed) throw this.#failed.error;
        if (this.#result) return this.#result;
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    } finally {
      await end();
    }
  }
}
