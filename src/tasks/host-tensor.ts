// Results that are arrays of numbers, with the interface of transformers.js.

import { ArgumentError, ShapeError } from '../core/errors.js';

/** The element types of results. Ids of transformers.js are 64-bit integers. */
type HostData = Float32Array | Int8Array | Uint8Array | BigInt64Array;

/** The numbers of a result and their shape, in JavaScript's memory. `tensor[i]` is entry `i` of the first dimension. */
export class HostTensor<Data extends HostData = Float32Array> {
  readonly type: 'float32' | 'int8' | 'uint8' | 'int64';
  readonly [index: number]: HostTensor<Data>;

  constructor(
    readonly data: Data,
    readonly dims: readonly number[],
  ) {
    const size = dims.reduce((product, dimension) => product * dimension, 1);
    if (size !== data.length) throw new ShapeError(`[${dims.join(', ')}] has ${size} elements, got ${data.length}`);
    this.type = TYPES[data.constructor.name as keyof typeof TYPES];
    // biome-ignore lint/correctness/noConstructorReturn: the proxy adds `tensor[i]`, which transformers.js has.
    return new Proxy(this, INDEXED as ProxyHandler<HostTensor<Data>>);
  }

  get size(): number {
    return this.data.length;
  }

  /**
   * Returns entry `i` of the first dimension, a view of the same memory. Negative numbers count from the end. Throws
   * ArgumentError.
   */
  at(i: number): HostTensor<Data> {
    const [count = 0, ...rest] = this.dims;
    const place = i < 0 ? i + count : i;
    if (!(Number.isInteger(place) && place >= 0 && place < count))
      throw new ArgumentError(`at: ${i} is out of range for [${this.dims.join(', ')}]`);
    const size = this.size / count;
    return new HostTensor(this.data.subarray(place * size, (place + 1) * size) as Data, rest);
  }

  /** The entries of the first dimension. */
  *[Symbol.iterator](): Generator<HostTensor<Data>, void, void> {
    for (let i = 0; i < (this.dims[0] ?? 0); i++) yield this.at(i);
  }

  /** The numbers as nested arrays. */
  tolist(): NestedArray<Data> {
    if (this.dims.length === 0) return this.data[0] as NestedArray<Data>;
    if (this.dims.length === 1) return Array.from(this.data as ArrayLike<Data[number]>) as NestedArray<Data>;
    return Array.from(this, (entry) => entry.tolist()) as NestedArray<Data>;
  }

  /** Returns the number of a tensor with one element. Throws ShapeError for other tensors. */
  item(): Data[number] {
    if (this.size === 1) return this.data[0] as Data[number];
    throw new ShapeError(`item: the tensor is [${this.dims.join(', ')}], expected one element`);
  }
}

export type NestedArray<Data extends HostData = Float32Array> = Data[number] | NestedArray<Data>[];

const TYPES = { Float32Array: 'float32', Int8Array: 'int8', Uint8Array: 'uint8', BigInt64Array: 'int64' } as const;

/** Implements `tensor[i]` for any number of entries, without a property for each. */
const INDEXED: ProxyHandler<HostTensor<HostData>> = {
  get: (tensor, name, receiver) =>
    typeof name === 'string' && /^\d+$/.test(name) && Number(name) < (tensor.dims[0] ?? 0)
      ? tensor.at(Number(name))
      : Reflect.get(tensor, name, receiver),
};
