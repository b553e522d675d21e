/**
 * What has been begun and is asked for later. An error waits with it until then, and is never an unhandled rejection; if
 * another error ends everything before, nobody asks.
 */
export class Pending<T> {
  readonly #outcome: Promise<PromiseSettledResult<T>>;

  constructor(promise: Promise<T>) {
    this.#outcome = Promise.allSettled([promise]).then(([outcome]) => outcome as PromiseSettledResult<T>);
  }

  /** The value, once it is there. Rejects with the error if it failed. */
  async value(): Promise<T> {
    const outcome = await this.#outcome;
    if (outcome.status === 'rejected') throw outcome.reason;
    return outcome.value;
  }

  /** Resolves when it is over, however it ended. */
  async end(): Promise<void> {
    await this.#outcome;
  }
}
