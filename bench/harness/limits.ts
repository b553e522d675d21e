// Measures the limits of the machine in the same run as the times that are compared with them.

import { compile } from './compile.js';
import type { Contestant } from './contest.js';
import { Peer } from './peer.js';

export const LIMIT = 'the limit';

/** Numbers of arrays that are read and written in one pass, and the bytes of each. */
export interface Traffic {
  readonly reads: number;
  readonly writes: number;
  readonly bytes: number;
}

/**
 * Work of a task: operations while weights are read once, products of bytes, a pass over memory, or a list of such work
 * with counts.
 */
export type Work =
  | { readonly flops: number; readonly bytes: number }
  | { readonly byteOperations: number }
  | Traffic
  | { readonly steps: readonly (readonly [times: number, work: Work])[] };

/** Bytes of an array that does not fit into a cache. */
const MEMORY = 256 << 20;
/** Bytes that a measurement moves. */
const MOVED = 5e8;
/** Number of attempts. Threads are placed differently each time, and the best attempt counts. */
const ATTEMPTS = 2;

/** Measures the machine by peers/machine.c. The caller closes it. */
export class Limits {
  readonly #peer: Peer;

  constructor() {
    this.#peer = new Peer(compile('machine.c'), []);
  }

  /** Floating-point operations a second of multiply-adds in registers. */
  async flops(threads: number): Promise<number> {
    const { seconds, flops } = await this.#measure([0, threads, 10]);
    return flops / seconds;
  }

  /** Operations per second of products of bytes, added by fours (VNNI); 0 if the machine has none. */
  async byteOperations(threads: number): Promise<number> {
    const { seconds, flops } = await this.#measure([2, threads, 10]);
    return flops / seconds;
  }

  /**
   * Returns the seconds in which `threads` threads move these arrays repeatedly, from and to the cache in which they
   * fit, or memory.
   */
  async moving({ reads, writes, bytes: given }: Traffic, threads: number): Promise<number> {
    const bytes = Math.ceil(given / 4096) * 4096;
    const repeats = Math.max(2, Math.round(MOVED / (bytes * (reads + writes))));
    return (await this.#measure([1, threads, repeats, reads, writes, bytes])).seconds;
  }

  /** Bytes a second that can be read from memory, or from the caches if `bytes` fit there. */
  async reading(threads: number, bytes = MEMORY): Promise<number> {
    const size = Math.ceil(Math.min(MEMORY, Math.max(4096, bytes)) / 4096) * 4096;
    return size / (await this.moving({ reads: 1, writes: 0, bytes: size }, threads));
  }

  /**
   * Returns a contestant that measures the limit of the machine. The speed of a machine changes from minute to minute,
   * so the limit is measured in turns with the contestants.
   */
  contestant(work: Work, threads: number): Contestant {
    return { name: LIMIT, isReference: true, take: async () => ({ seconds: await this.#least(work, threads) }) };
  }

  /** Returns the minimum seconds of the work. */
  async #least(work: Work, threads: number): Promise<number> {
    if ('steps' in work) {
      let seconds = 0;
      for (const [times, step] of work.steps) seconds += times * (await this.#least(step, threads));
      return seconds;
    }
    if ('reads' in work) return this.moving(work, threads);
    if ('byteOperations' in work) return work.byteOperations / (await this.byteOperations(threads));
    const moving = work.bytes / (await this.reading(threads, work.bytes));
    return Math.max(work.flops / (await this.flops(threads)), moving);
  }

  async #measure(asked: number[]): Promise<{ seconds: number; flops: number }> {
    let best = { seconds: Number.POSITIVE_INFINITY, flops: 0 };
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      const answer = await this.#peer.ask<typeof best>(asked);
      if (answer.seconds < best.seconds) best = answer;
    }
    return best;
  }

  close(): void {
    this.#peer.close();
  }
}
