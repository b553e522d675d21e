// Adapters of one model, for passes that compute with one choice of adapters. Requests with other adapters wait.

import { orAborted } from './or-aborted.js';

interface Waiting {
  readonly key: string;
  readonly begin: () => void;
  readonly fail: (error: unknown) => void;
}

/**
 * Lets requests with equal adapters run at the same time. Requests with other adapters take turns with them, in the order
 * of their arrival.
 */
export class AdapterTurns {
  #key: string | null = null;
  #users = 0;
  readonly #line: Waiting[] = [];
  #isSwitching = false;

  /** `activate` switches the adapters, while no request runs. */
  constructor(private readonly activate: (key: string) => Promise<void>) {}

  get waiting(): number {
    return this.#line.length;
  }

  /** Waits until the adapters are active. Rejects with the signal's reason. Each success needs a `leave`. */
  async enter(key: string, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#key === key && this.#line.length === 0 && !this.#isSwitching) {
      this.#users++;
      return;
    }
    const turn = new Promise<void>((resolve, reject) => {
      this.#line.push({ key, begin: resolve, fail: reject });
    });
    const own = this.#line.at(-1) as Waiting;
    void this.#next();
    try {
      await orAborted(turn, signal);
    } catch (error) {
      const place = this.#line.indexOf(own);
      if (place >= 0) this.#line.splice(place, 1);
      else if (signal.aborted) this.leave(); // the request was aborted after its turn had come
      throw error;
    }
  }

  leave(): void {
    this.#users--;
    void this.#next();
  }

  /** Starts the first waiting request, and all others with the same adapters. */
  async #next(): Promise<void> {
    if (this.#users > 0 || this.#isSwitching) return;
    const first = this.#line[0];
    if (first === undefined) return;
    this.#isSwitching = true;
    const failure = await this.#switch(first.key);
    this.#isSwitching = false;
    const starting = this.#line.filter(({ key }) => key === first.key);
    this.#line.splice(0, Number.POSITIVE_INFINITY, ...this.#line.filter(({ key }) => key !== first.key));
    if (failure === null) this.#users += starting.length;
    for (const { begin, fail } of starting)
      if (failure === null) begin();
      else fail(failure.error);
    if (this.#users === 0) void this.#next(); // the switch failed, or all waiting requests were aborted
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
