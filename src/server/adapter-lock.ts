// Adapters of one model, for passes that compute with one choice of adapters. Requests with other adapters wait.

import { orAborted } from './or-aborted.js';

interface Waiting {
  readonly key: string;
  readonly start: () => void;
  readonly fail: (error: unknown) => void;
}

/**
 * Lets requests with equal adapters run at the same time. Requests with other adapters wait until they have ended, in
 * the order of their arrival.
 */
export class AdapterLock {
  #key: string | null = null;
  #users = 0;
  readonly #queue: Waiting[] = [];
  #isSwitching = false;

  /** `activate` switches the adapters, while no request runs. */
  constructor(private readonly activate: (key: string) => Promise<void>) {}

  get waiting(): number {
    return this.#queue.length;
  }

  /** Waits until the adapters are active. Rejects with the signal's reason. Each success needs a `release`. */
  async acquire(key: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#key === key && this.#queue.length === 0 && !this.#isSwitching) {
      this.#users++;
      return;
    }
    const started = new Promise<void>((resolve, reject) => {
      this.#queue.push({ key, start: resolve, fail: reject });
    });
    const entry = this.#queue.at(-1) as Waiting;
    void this.#startNext();
    try {
      await orAborted(started, signal);
    } catch (error) {
      const index = this.#queue.indexOf(entry);
      if (index >= 0) this.#queue.splice(index, 1);
      else if (signal.aborted) this.release(); // the request was aborted after its turn had come
      throw error;
    }
  }

  release(): void {
    this.#users--;
    void this.#startNext();
  }

  /** Starts the first waiting request, and all others with the same adapters. */
  async #startNext(): Promise<void> {
    if (this.#users > 0 || this.#isSwitching) return;
    const first = this.#queue[0];
    if (first === undefined) return;
    this.#isSwitching = true;
    const failure = await this.#switch(first.key);
    this.#isSwitching = false;
    const starting = this.#queue.filter(({ key }) => key === first.key);
    this.#queue.splice(0, Number.POSITIVE_INFINITY, ...this.#queue.filter(({ key }) => key !== first.key));
    if (failure === null) this.#users += starting.length;
    for (const { start, fail } of starting)
      if (failure === null) start();
      else fail(failure.error);
    if (this.#users === 0) void this.#startNext(); // the switch failed, or all waiting requests were aborted
  }

  /** Returns the error if the adapters cannot be switched. */
  async #switch(key: string): Promise<{ readonly error: unknown } | null> {
    if (key === this.#key) return null;
    try {
      await this.activate(key);
      this.#key = key;
      return null;
    } catch (error) {
      this.#key = null;
      return { error };
    }
  }
}
