// What the machine can do at most, measured in the same run as what is compared with it.

import { compile } from './compile.js';
import { Peer } from './peer.js';

/** Arrays that are read and written in one pass, of how many bytes each. */
export interface Traffic {
  readonly reads: number;
  readonly writes: number;
  readonly bytes: number;
}

/** Bytes of an array that lies in no cache. */
const MEMORY = 256 << 20;
/** Each answer is the best of this many: a limit is what can be reached. */
const ATTEMPTS = 5;

/** Measures the machine by peers/machine.c. To be closed. */
export class Limits {
  readonly #peer: Peer;
  readonly #seen = new Map<string, number>();

  constructor() {
    this.#peer = new Peer(compile('machine.c'), []);
  }

  /** Floating-point operations a second of multiply-adds in registers. */
  flops(threads: number): Promise<number> {
    return this.#once(`flops ${threads}`, async () => {
      let best = 0;
      for (let i = 0; i < ATTEMPTS; i++) {
        const { seconds, flops } = await this.#peer.ask<{ seconds: number; flops: number }>([0, threads, 10]);
        best = Math.max(best, flops / seconds);
      }
      return best;
    });
  }

  /** Seconds in which `threads` threads move that much, over and over: from and to the cache in which it fits, or memory. */
  moving({ reads, writes, bytes }: Traffic, threads: number): Promise<number> {
    const size = Math.ceil(bytes / 4096) * 4096;
    return this.#once(`moving ${threads} ${reads} ${writes} ${size}`, async () => {
      const repeats = Math.max(2, Math.round(2e9 / (size * (reads + writes))));
      let best = Number.POSITIVE_INFINITY;
      for (let i = 0; i < ATTEMPTS; i++) {
        const question = [1, threads, repeats, reads, writes, size];
        const { seconds } = await this.#peer.ask<{ seconds: number }>(question);
        best = Math.min(best, seconds);
      }
      return best;
    });
  }

  /** Bytes a second that can be read from memory, or from the caches if `bytes` fit there. */
  async reading(threads: number, bytes = MEMORY): Promise<number> {
    const size = Math.min(MEMORY, Math.max(4096, bytes));
    return size / (await this.moving({ reads: 1, writes: 0, bytes: size }, threads));
  }

  /** Seconds that so many operations, and reading so many bytes of weights once, take at least. */
  async least(work: { flops: number; bytes: number }, threads: number): Promise<number> {
    const reading = work.bytes / (await this.reading(threads, work.bytes));
    return Math.max(work.flops / (await this.flops(threads)), reading);
  }

  async #once(key: string, measure: () => Promise<number>): Promise<number> {
    const seen = this.#seen.get(key) ?? (await measure());
    this.#seen.set(key, seen);
    return seen;
  }

  close(): void {
    this.#peer.close();
  }
}
