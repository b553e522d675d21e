import { checkNumber, checkSeed, isCount } from './check.js';

/**
 * Counter-based random numbers: number n of a stream is a function of (seed, stream, n). The same seed gives the same
 * numbers on every machine, and each number can be computed alone. Philox4x32-10 (Salmon et al., 2011).
 */
export class Random {
  #counter = 0;
  readonly #block = new Uint32Array(4);
  #left = 0;

  /**
   * `stream` (default 0) separates uses of one seed: initialisation, shuffling, sampling. All bits of both numbers are
   * used. Throws ArgumentError unless `seed` is an integer, 0 or more.
   */
  constructor(
    readonly seed: number,
    readonly stream = 0,
  ) {
    checkSeed('Random', seed);
  }

  /** Returns an integer from 0 to 2³² − 1. */
  uint32(): number {
    if (this.#left === 0) {
      philox(this.#counter++, this.stream, this.seed, this.#block);
      this.#left = 4;
    }
    return this.#block[4 - this.#left--] as number;
  }

  /** Returns a uniform number in [0, 1) with 24 random bits, which a float32 holds exactly. */
  uniform(): number {
    return (this.uint32() >>> 8) / 2 ** 24;
  }

  /** Returns a number from the standard normal distribution (Box–Muller). */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return radius * Math.cos(2 * Math.PI * this.uniform());
  }

  /**
   * Returns an integer from 0 to `limit` − 1, each equally likely. Throws ArgumentError unless `limit` is an integer
   * from 1 to 2³².
   */
  below(limit: number): number {
    checkNumber(
      'Random.below',
      'limit',
      limit,
      (value) => isCount(value) && value <= 2 ** 32,
      'an integer from 1 to 2³²',
    );
    const unbiased = 2 ** 32 - (2 ** 32 % limit);
    for (;;) {
      const value = this.uint32();
      if (value < unbiased) return value % limit;
    }
  }

  /** Puts `items` into random order, in place (Fisher–Yates). */
  shuffle<T>(items: T[]): T[] {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [items[i], items[j]] = [items[j] as T, items[i] as T];
    }
    return items;
  }
}

/** Philox4x32-10. It uses variables instead of arrays for speed, because it initialises millions of parameters. */
function philox(counter: number, stream: number, seed: number, block: Uint32Array): void {
  let c0 = counter | 0;
  let c1 = (counter / 2 ** 32) | 0;
  let c2 = stream | 0;
  let c3 = (stream / 2 ** 32) | 0;
  let k0 = seed | 0;
  let k1 = Math.floor(seed / 2 ** 32) | 0;
  for (let round = 0; round < 10; round++) {
    const high0 = highWord(0xcd9e8d57, c2);
    const high1 = highWord(0xd2511f53, c0);
    const low1 = Math.imul(0xd2511f53, c0);
    c0 = high0 ^ c1 ^ k0;
    c1 = Math.imul(0xcd9e8d57, c2);
    c2 = high1 ^ c3 ^ k1;
    c3 = low1;
    k0 = (k0 + 0x9e3779b9) | 0;
    k1 = (k1 + 0xbb67ae85) | 0;
  }
  block[0] = c0;
  block[1] = c1;
  block[2] = c2;
  block[3] = c3;
}

/** Returns bits 32 to 63 of the product of two unsigned 32-bit integers. No intermediate value exceeds 32 bits. */
function highWord(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = (Math.imul(aHigh, bLow) + (Math.imul(aLow, bLow) >>> 16)) >>> 0;
  const other = (Math.imul(aLow, bHigh) + (middle & 0xffff)) >>> 0;
  return (Math.imul(aHigh, bHigh) + (middle >>> 16) + (other >>> 16)) | 0;
}
