// Jobs one after the other, the clients in turn.

import { QueueFullError } from '../generate/index.js';

export class Turns {
  /** Of each client what begins its next job. */
  readonly #lines = new Map<string, (() => void)[]>();
  readonly #jobs = new Set<Promise<unknown>>();
  #isTaken = false;

  constructor(private readonly mostWaiting: number) {}

  get running(): number {
    return this.#isTaken ? 1 : 0;
  }

  get waiting(): number {
    return [...this.#lines.values()].reduce((sum, { length }) => sum + length, 0);
  }

  /** Does a job when it is the client's turn. Rejects with QueueFullError where too many wait, and the signal's reason. */
  async run<T>(client: string, signal: AbortSignal, job: () => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    if (this.#isTaken) await this.#turn(client, signal);
    this.#isTaken = true;
    const running = job();
    this.#jobs.add(running);
    try {
      return await running;
    } finally {
      this.#jobs.delete(running);
      this.#next();
    }
  }

  /** Ends when nothing runs or waits any more. */
  async close(): Promise<void> {
    while (this.#jobs.size > 0) await Promise.allSettled(this.#jobs);
  }

  /** Who goes away frees the place. */
  #turn(client: string, signal: AbortSignal): Promise<void> {
    if (this.waiting >= this.mostWaiting) throw new QueueFullError(`${this.waiting} recordings are waiting`, 1);
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

  /** A client that had its turn goes behind the others. The place stays taken for whose turn it is. */
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
