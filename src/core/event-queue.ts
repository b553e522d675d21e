/**
 * Events that wait for one reader. Iteration yields arrays: all events since the one before. It ends after `end()`, and
 * throws after `fail()`, once the reader has all events. The queue keeps events that nobody reads, so who pushes them
 * must stop when the reader leaves.
 */
export class EventQueue<Event> implements AsyncIterable<Event[]> {
  #events: Event[] = [];
  /** Ends the iteration. */
  #finish: (() => void) | null = null;
  #wake = () => {};

  push(event: Event): void {
    this.#events.push(event);
    this.#wake();
  }

  /** Ends the queue, unless it has ended or failed. */
  end(): void {
    this.#finish ??= () => {};
    this.#wake();
  }

  /** Lets the reader fail with `error`, unless the queue has ended or failed. */
  fail(error: unknown): void {
    this.#finish ??= () => {
      throw error;
    };
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Event[], void, void> {
    for (;;) {
      if (this.#events.length > 0) yield this.#events.splice(0);
      else if (this.#finish) return this.#finish();
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }
}
