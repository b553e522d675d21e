// Jobs that run one after the other. Clients take turns.

import { QueueFullError } from '../generate/index.js';

/** Runs a job in some state of the model. */
export type Around = <T>(signal: AbortSignal, job: () => Promise<T>) => Promise<T>;

export class Turns {
  /** For each client, the functions that start its waiting jobs. */
  readonly #lines = new Map<string, (() => void)[]>();
  readonly #jobs = new Set<Promise<unknown>>();
  #isTaken = false;
  /** Runs each job, for example with other adapters. */
  around: Around = (_, job) => job();

  constructor(private readonly maxWaiting: number) {}

  get running(): number {
    return this.#isTaken ? 1 : 0;
  }

  get waiting(): number {
    return [...this.#lines.values()].reduce((sum, { length }) => sum + length, 0);
  }

  /** Runs a job at the client's turn. Rejects with QueueFullError if too many jobs wait, and with the signal's reason. */
  async run<T>(client: string, signal: AbortSignal, job: () => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    if (this.#isTaken) await this.#turn(client, signal);
    this.#isTaken = true;
    const running = this.around(signal, job);
    this.#jobs.add(running);
    try {
      return await running;
    } finally {
      this.#jobs.delete(running);
      this.#next();
    }
  }

  /** Resolves when no job runs or waits any more. */
  async idle(): Promise<void> {
    while (this.#jobs.size > 0) await Promise.allSettled(this.#jobs);
  }

  /** Waits for the client's turn. An aborted job leaves the queue. */
  #turn(client: string, signal: AbortSignal): Promise<void> {
    if (this.waiting >= this.maxWaiting) throw new QueueFullError(`${this.waiting} recordings are waiting`, 1);
    const line = this.#lines.get(client) ?? [];
    this.#lines.set(client, line);
    return new Promise((resolve, reject) => {
      const begin = () => {
        signal.removeEventListener('abort', leave);
        resolve();
      };
      const leave = () => {
        line.splice(line.indexOf(begin), 1);
        if (line.length === 0) this.#lines.delete(client);
        reject(signal.reason);
      };
      line.push(begin);
      signal.addEventListener('abort', leave, { once: true });
    });
  }

  /** Starts the next job. Its client then queues behind the others. */
  #next(): void {
    const [first] = this.#lines;
    this.#isTaken = first !== undefined;
    if (first === undefined) return;
    const [client, line] = first;
    this.#lines.delete(client);
    const begin = line.shift();
    if (line.length > 0) this.#lines.set(client, line);
    begin?.();
  }
}
