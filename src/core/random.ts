/**
 * Counter-based random numbers: number n of a stream is a function of (seed, stream, n), so the same seed gives the same
 * numbers on every machine and any one of them can be computed alone. Philox4x32-10 (Salmon et al., 2011).
 */
export class Random {
  #counter = 0;
  #block: Uint32Array = new Uint32Array(4);
  #left = 0;

  /** `stream` separates uses of one seed: initialisation, shuffling, sampling. */
  constructor(
    readonly seed: number,
    readonly stream = 0,
  ) {}

  /** An integer from 0 to 2³² − 1. */
  uint32(): number {
    if (this.#left === 0) {
      this.#block = philox(this.#counter++, this.stream, this.seed);
      this.#left = 4;
    }
    return this.#block[4 - this.#left--] as number;
  }

  /** Uniform in [0, 1), with 24 random bits, as a float32 holds them. */
  uniform(): number {
    return (this.uint32() >>> 8) / 2 ** 24;
  }

  /** Standard normal (Box–Muller). */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return radius * Math.cos(2 * Math.PI * this.uniform());
  }

  /** An integer from 0 to `limit` − 1, each equally likely. */
  below(limit: number): number {
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

function philox(counter: number, stream: number, seed: number): Uint32Array {
  const c = Uint32Array.of(counter, counter / 2 ** 32, stream, stream / 2 ** 32);
  let k0 = seed >>> 0;
  let k1 = Math.floor(seed / 2 ** 32) >>> 0;
  for (let round = 0; round < 10; round++) {
    const [c0, c1, c2, c3] = c as unknown as [number, number, number, number];
    c[0] = highWord(0xcd9e8d57, c2) ^ c1 ^ k0;
    c[1] = Math.imul(0xcd9e8d57, c2);
    c[2] = highWord(0xd2511f53, c0) ^ c3 ^ k1;
    c[3] = Math.imul(0xd2511f53, c0);
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  return c;
}

/** Bits 32 to 63 of the product of two 32-bit integers. */
function highWord(a: number, b: number): number {
  const low = (a & 0xffff) * (b & 0xffff);
  const middle1 = (a >>> 16) * (b & 0xffff) + ((low / 65536) >>> 0);
  const middle2 = (a & 0xffff) * (b >>> 16) + (middle1 & 0xffff);
  return ((a >>> 16) * (b >>> 16) + Math.floor(middle1 / 65536) + Math.floor(middle2 / 65536)) >>> 0;
}
