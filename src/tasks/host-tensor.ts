// Results that are arrays of numbers, in the form that transformers.js has for them.

import { ArgumentError, ShapeError } from '../core/errors.js';

/** The numbers of a result and their shape: in JavaScript's memory, not a device's. */
export class HostTensor<Data extends Float32Array | Int8Array | Uint8Array = Float32Array> {
  readonly type: 'float32' | 'int8' | 'uint8';

  constructor(
    readonly data: Data,
    readonly dims: readonly number[],
  ) {
    const size = dims.reduce((product, dimension) => product * dimension, 1);
    if (size !== data.length) throw new ShapeError(`[${dims.join(', ')}] has ${size} elements, got ${data.length}`);
    this.type = data instanceof Float32Array ? 'float32' : data instanceof Int8Array ? 'int8' : 'uint8';
  }

  get size(): number {
    return this.data.length;
  }

  /** Entry `i` of the first dimension, in the same memory; negative counts from the end. Throws ArgumentError. */
  at(i: number): HostTensor<Data> {
    const [count = 0, ...rest] = this.dims;
    const place = i < 0 ? i + count : i;
    if (!(Number.isInteger(place) && place >= 0 && place < count))
      throw new ArgumentError(`at: ${i} is not an entry of [${this.dims.join(', ')}]`);
    const size = this.size / count;
    return new HostTensor(this.data.subarray(place * size, (place + 1) * size) as Data, rest);
  }

  /** The entries of the first dimension. */
  *[Symbol.iterator](): Generator<HostTensor<Data>, void, void> {
    for (let i = 0; i < (this.dims[0] ?? 0); i++) yield this.at(i);
  }

  /** The same numbers as nested arrays. */
  tolist(): NestedArray {
    if (this.dims.length === 0) return this.data[0] as number;
    if (this.dims.length === 1) return Array.from(this.data);
    return Array.from(this, (entry) => entry.tolist());
  }

  /** The number of a tensor that has but one. Throws ShapeError for others. */
  item(): number {
    if (this.size === 1) return this.data[0] as number;
    throw new ShapeError(`item: the tensor is [${this.dims.join(', ')}], expected one element`);
  }
}

export type NestedArray = number | NestedArray[];
