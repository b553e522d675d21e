/**
 * A result that is awaited later. An error is kept until then. It never becomes an unhandled rejection, even if another
 * error ends the run first.
 */
export class Pending<T> {
  readonly #outcome: Promise<PromiseSettledResult<T>>;

  constructor(promise: Promise<T>) {
    this.#outcome = Promise.allSettled([promise]).then(([outcome]) => outcome as PromiseSettledResult<T>);
  }

  /** Resolves with the value, or rejects with its error. */
  async value(): Promise<T> {
    const outcome = await this.#outcome;
    if (outcome.status === 'rejected') throw outcome.reason;
    return outcome.value;
  }

  /** Resolves when the work has ended, with or without an error. */
  async end(): Promise<void> {
    await this.#outcome;
  }
}
