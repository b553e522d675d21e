// Results that are arrays of numbers, with the interface of transformers.js.

import { describeValue } from '../core/check.js';
import { ArgumentError, ShapeError } from '../core/errors.js';

/** The element types of results. Ids of transformers.js are 64-bit integers. */
export type HostData = Float32Array | Int8Array | Uint8Array | BigInt64Array;

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
    const index = i < 0 ? i + count : i;
    if (!(Number.isInteger(index) && index >= 0 && index < count))
      throw new ArgumentError(`at: ${i} is out of range for [${this.dims.join(', ')}]`);
    const size = this.size / count;
    return new HostTensor(this.data.subarray(index * size, (index + 1) * size) as Data, rest);
  }

  /** The entries of the first dimension. */
  *[Symbol.iterator](): Generator<HostTensor<Data>, void, void> {
    for (let i = 0; i < (this.dims[0] ?? 0); i++) yield this.at(i);
  }

  /**
   * Returns a copy of a part. Each argument is for one dimension: null for all entries, `[start, end]` for a range, or
   * a number for one entry. The dimension of a number is left out. A bound may be null, or negative to count from the
   * end. Throws ArgumentError.
   */
  slice(...parts: readonly (number | null | readonly [start: number | null, end?: number | null])[]): HostTensor<Data> {
    if (parts.length > this.dims.length)
      throw new ArgumentError(`slice: there are ${parts.length} parts for [${this.dims.join(', ')}]`);
    const ranges = this.dims.map((count, axis) => rangeOf(parts[axis] ?? null, count));
    const dims = ranges.map(([start, end]) => end - start);
    const data = new (this.data.constructor as new (size: number) => Data)(dims.reduce((a, b) => a * b, 1));
    const copy = (axis: number, from: number, to: number): number => {
      const [start, end] = ranges[axis] ?? [0, 1];
      if (axis >= this.dims.length - 1) {
        data.set(this.data.subarray(from + start, from + end) as never, to);
        return to + end - start;
      }
      const step = this.dims.slice(axis + 1).reduce((a, b) => a * b, 1);
      for (let i = start; i < end; i++) to = copy(axis + 1, from + i * step, to);
      return to;
    };
    copy(0, 0, 0);
    return new HostTensor(
      data,
      dims.filter((_, axis) => typeof parts[axis] !== 'number'),
    );
  }

  /**
   * Returns float32 rows of Euclidean length 1. The arguments are those of transformers.js; others than 2 and the last
   * dimension are refused with ArgumentError.
   */
  normalize(p = 2, dim = 1): HostTensor {
    const last = this.dims.length - 1;
    if (p !== 2 || (dim !== -1 && dim !== last))
      throw new ArgumentError(`normalize: p is ${p} and dim ${dim}, expected 2 and the last dimension, ${last}`);
    const values = Float32Array.from(this.data as ArrayLike<number | bigint>, Number);
    const width = this.dims[last] as number;
    for (let start = 0; start < values.length; start += width) {
      const row = values.subarray(start, start + width);
      const length = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0));
      for (let i = 0; i < width; i++) (row[i] as number) /= Math.max(length, 1e-12);
    }
    return new HostTensor(values, this.dims);
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

/** The range of a dimension of `count` entries. */
function rangeOf(
  part: number | null | readonly [start: number | null, end?: number | null],
  count: number,
): [start: number, end: number] {
  const bound = (value: unknown, open: number) => {
    if (value === null || value === undefined) return open;
    const index = Number(value) < 0 ? Number(value) + count : Number(value);
    if (Number.isInteger(value) && index >= 0) return Math.min(index, count);
    throw new ArgumentError(`slice: ${describeValue(value)} is out of range for ${count} entries`);
  };
  if (typeof part === 'number') {
    const index = bound(part, 0);
    if (index < count) return [index, index + 1];
    throw new ArgumentError(`slice: ${part} is out of range for ${count} entries`);
  }
  if (part !== null && !Array.isArray(part))
    throw new ArgumentError(`slice: ${describeValue(part)} is not an index, expected null, a number or [start, end]`);
  const start = bound(part?.[0], 0);
  return [start, Math.max(start, bound(part?.[1], count))];
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
