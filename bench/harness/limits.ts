// What the machine can do at most, measured in the same run as what is compared with it.

import { compile } from './compile.js';
import { Peer } from './peer.js';

/** Arrays that are read and written in one pass, of how many bytes each. */
export interface Traffic {
  readonly reads: number;
  readonly writes: number;
  readonly bytes: number;
}

/** What something has to do: operations while weights are read once; a pass over memory; or several after another, each so often. */
export type Work =
  | { readonly flops: number; readonly bytes: number }
  | Traffic
  | { readonly steps: readonly (readonly [times: number, work: Work])[] };

/** Bytes of an array that lies in no cache. */
const MEMORY = 256 << 20;
/** Bytes that a measurement moves. */
const MOVED = 5e8;
const ATTEMPTS = 4;

/** Measures the machine by peers/machine.c. A limit is what can be reached: the best of all attempts. To be closed. */
export class Limits {
  readonly #peer: Peer;
  /** The least seconds for each question that came up: of one pass, or of one operation. */
  readonly #best = new Map<string, number>();

  constructor() {
    this.#peer = new Peer(compile('machine.c'), []);
  }

  /** Floating-point operations a second of multiply-adds in registers. */
  async flops(threads: number): Promise<number> {
    return 1 / (await this.#ask(`${threads}`));
  }

  /** Seconds in which `threads` threads move that much, over and over: from and to the cache in which it fits, or memory. */
  moving({ reads, writes, bytes }: Traffic, threads: number): Promise<number> {
    return this.#ask(`${threads},${reads},${writes},${Math.ceil(bytes / 4096) * 4096}`);
  }

  /** Bytes a second that can be read from memory, or from the caches if `bytes` fit there. */
  async reading(threads: number, bytes = MEMORY): Promise<number> {
    const near = 2 ** (Math.round(2 * Math.log2(bytes)) / 2); // few different ones
    const size = Math.ceil(Math.min(MEMORY, Math.max(4096, near)) / 4096) * 4096;
    return size / (await this.moving({ reads: 1, writes: 0, bytes: size }, threads));
  }

  /** Seconds that the work takes at least. */
  async least(work: Work, threads: number): Promise<number> {
    if ('steps' in work) {
      let seconds = 0;
      for (const [times, step] of work.steps) seconds += times * (await this.least(step, threads));
      return seconds;
    }
    if ('reads' in work) return this.moving(work, threads);
    const reading = work.bytes / (await this.reading(threads, work.bytes));
    return Math.max(work.flops / (await this.flops(threads)), reading);
  }

  /** Measures everything that was asked for once more: the machine may have been busy before. */
  async again(): Promise<void> {
    for (const question of this.#best.keys()) await this.#measure(question);
  }

  async #ask(question: string): Promise<number> {
    if (!this.#best.has(question)) for (let attempt = 0; attempt < ATTEMPTS; attempt++) await this.#measure(question);
    return this.#best.get(question) as number;
  }

  async #measure(question: string): Promise<void> {
    const [threads = 1, reads, writes = 0, bytes = 0] = question.split(',').map(Number);
    const moves = reads !== undefined;
    const repeats = moves ? Math.max(2, Math.round(MOVED / (bytes * (reads + writes)))) : 10;
    const asked = moves ? [1, threads, repeats, reads, writes, bytes] : [0, threads, repeats];
    const { seconds, flops } = await this.#peer.ask<{ seconds: number; flops: number }>(asked);
    this.#best.set(
      question,
      Math.min(moves ? seconds : seconds / flops, this.#best.get(question) ?? Number.POSITIVE_INFINITY),
    );
  }

  close(): void {
    this.#peer.close();
  }
}
