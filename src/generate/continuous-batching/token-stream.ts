import type { BatchedResult, BatchedToken } from './batched-sequence.js';

/** What a sequence says until its end, for one reader that may be slower. */
export class TokenStream {
  #tokens: BatchedToken[] = [];
  #result: BatchedResult | null = null;
  #failed: { readonly error: unknown } | null = null;
  #wake: (() => void) | null = null;

  push(token: BatchedToken): void {
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
   * All of it. `leave` is called with a reason if the reader goes, or `signal` says so, before the end. The stream ends
   * once `left` has resolved.
   */
  read(
    signal: AbortSignal | undefined,
    leave: (reason: unknown) => void,
    left: Promise<void>,
  ): AsyncGenerator<BatchedToken, BatchedResult, void> {
    const abort = () => leave(signal?.reason);
    signal?.addEventListener('abort', abort, { once: true }); // now, not when the first token is asked for
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
