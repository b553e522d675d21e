import type { Shape } from '../src/core/tensor.js';

/** Values of an input: its dtype is that of the array. */
export interface Values<Data extends Float32Array | Int32Array = Float32Array | Int32Array> {
  readonly shape: Shape;
  readonly data: Data;
}

export const sizeOf = (shape: Shape): number => shape.reduce((size, dimension) => size * dimension, 1);

/** Reproducible test data: the same seed gives the same numbers on every machine. */
export class Random {
  #state: number;

  constructor(seed: string) {
    this.#state = [...seed].reduce((hash, char) => Math.imul(hash ^ char.codePointAt(0)!, 0x01000193), 0x811c9dc5);
  }

  /** In [0, 1). A Weyl sequence through a finaliser: two rounds of xor-shift and multiply. */
  next(): number {
    this.#state = (this.#state + 0x9e3779b9) | 0;
    let bits = Math.imul(this.#state ^ (this.#state >>> 16), 0x21f0aaad);
    bits = Math.imul(bits ^ (bits >>> 15), 0x735a2d97);
    return ((bits ^ (bits >>> 15)) >>> 0) / 2 ** 32;
  }

  sign(): number {
    return this.next() < 0.5 ? -1 : 1;
  }

  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  /** Standard normal values, times `scale` (Box–Muller). */
  normal(shape: Shape, scale = 1): Values<Float32Array> {
    const draw = () => scale * Math.sqrt(-2 * Math.log(1 - this.next())) * Math.cos(2 * Math.PI * this.next());
    return { shape, data: Float32Array.from({ length: sizeOf(shape) }, draw) };
  }

  uniform(shape: Shape, low = -1, high = 1): Values<Float32Array> {
    return { shape, data: Float32Array.from({ length: sizeOf(shape) }, () => low + (high - low) * this.next()) };
  }

  /** Integers 0 ≤ i < limit. */
  integers(shape: Shape, limit: number): Values<Int32Array> {
    return { shape, data: Int32Array.from({ length: sizeOf(shape) }, () => this.below(limit)) };
  }
}
