// Jobs that run one after the other, one of each client in turn.

import { QueueFullError } from '../generate/index.js';

/** Prepares the model, for example by activating adapters, and runs a job. */
export type JobWrapper = <T>(signal: AbortSignal, job: () => Promise<T>) => Promise<T>;

export class JobQueue {
  /** For each client, the functions that start its waiting jobs. */
  readonly #queues = new Map<string, (() => void)[]>();
  readonly #jobs = new Set<Promise<unknown>>();
  #isBusy = false;
  /** Runs each job. Default: without preparation. */
  wrapJob: JobWrapper = (_, job) => job();

  constructor(private readonly maxWaiting: number) {}

  get running(): number {
    return this.#isBusy ? 1 : 0;
  }

  get waiting(): number {
    return [...this.#queues.values()].reduce((sum, { length }) => sum + length, 0);
  }

  /**
   * Runs a job at the client's turn. Rejects with QueueFullError if too many jobs wait, and with the signal's reason.
   */
  async run<T>(client: string, signal: AbortSignal, job: () => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    if (this.#isBusy) await this.#waitForTurn(client, signal);
    this.#isBusy = true;
    const running = this.wrapJob(signal, job);
    this.#jobs.add(running);
    try {
      return await running;
    } finally {
      this.#jobs.delete(running);
      this.#startNext();
    }
  }

  /** Resolves when no job runs or waits any more. */
  async idle(): Promise<void> {
    while (this.#jobs.size > 0) await Promise.allSettled(this.#jobs);
  }

  /** Waits for the client's turn. An aborted job leaves the queue. */
  #waitForTurn(client: string, signal: AbortSignal): Promise<void> {
    if (this.waiting >= this.maxWaiting) throw new QueueFullError(`${this.waiting} recordings are waiting`, 1);
    const queue = this.#queues.get(client) ?? [];
    this.#queues.set(client, queue);
    return new Promise((resolve, reject) => {
      const start = () => {
        signal.removeEventListener('abort', abort);
        resolve();
      };
      const abort = () => {
        queue.splice(queue.indexOf(start), 1);
        if (queue.length === 0) this.#queues.delete(client);
        reject(signal.reason);
      };
      queue.push(start);
      signal.addEventListener('abort', abort, { once: true });
    });
  }

  /** Starts the next job. Its client then queues behind the others. */
  #startNext(): void {
    const [first] = this.#queues;
    this.#isBusy = first !== undefined;
    if (first === undefined) return;
    const [client, queue] = first;
    this.#queues.delete(client);
    const start = queue.shift();
    if (queue.length > 0) this.#queues.set(client, queue);
    start?.();
  }
}
