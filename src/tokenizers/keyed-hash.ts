// HalfSipHash-1-3 (Aumasson & Bernstein 2012). Collisions cannot be constructed without knowing the key.

/** A hash function with a random key. Every bit of its result depends on every bit of the key and of the input. */
export class KeyedHash {
  readonly #key0: number;
  readonly #key1: number;

  /** The key is two 32-bit numbers. Default: random ones. */
  constructor([key0, key1]: Iterable<number> = crypto.getRandomValues(new Int32Array(2))) {
    this.#key0 = key0 as number;
    this.#key1 = key1 as number;
  }

  /** Returns the 32-bit hash of two ranges of bytes, which are treated as one text. */
  ofBytes(bytes: Uint8Array, start: number, end: number, start2: number, end2: number): number {
    const length = end - start + end2 - start2;
    let v0 = this.#key0;
    let v1 = this.#key1;
    let v2 = this.#key0 ^ 0x6c796765;
    let v3 = this.#key1 ^ 0x74656462;
    let position = start;
    let word = 0;
    for (let i = 0; i <= length; i++) {
      const isLast = i === length;
      if (position === end && i === end - start) position = start2;
      word |= (isLast ? 0 : (bytes[position++] as number)) << (8 * (i & 3));
      if (!isLast && (i & 3) !== 3) continue;
      // The last word contains the remaining bytes, and the length in its highest byte.
      if (isLast) word |= length << 24;
      v3 ^= word;
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
      v0 ^= word;
      word = 0;
    }
    v2 ^= 0xff;
    for (let round = 0; round < 3; round++) {
      v0 = (v0 + v1) | 0;
      v1 = ((v1 << 5) | (v1 >>> 27)) ^ v0;
      v0 = (v0 << 16) | (v0 >>> 16);
      v2 = (v2 + v3) | 0;
      v3 = ((v3 << 8) | (v3 >>> 24)) ^ v2;
      v0 = (v0 + v3) | 0;
      v3 = ((v3 << 7) | (v3 >>> 25)) ^ v0;
      v2 = (v2 + v1) | 0;
      v1 = ((v1 << 13) | (v1 >>> 19)) ^ v2;
      v2 = (v2 << 16) | (v2 >>> 16);
    }
    return v1 ^ v3;
  }
}
