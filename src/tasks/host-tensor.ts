// Results that are arrays of numbers, with the interface of transformers.js.

import { checkOneOf, describeValue } from '../core/check.js';
import { ArgumentError, DTypeError, ShapeError } from '../core/errors.js';
import { permuted, reduced } from './tensor-axes.js';

/** The arrays of results, by their types. Ids of transformers.js are 64-bit integers. */
export interface ArrayOfType {
  float32: Float32Array;
  int8: Int8Array;
  uint8: Uint8Array;
  int64: BigInt64Array;
}

/** The element types of results. */
export type HostType = keyof ArrayOfType;

export type HostData = ArrayOfType[HostType];

/** The numbers of a result and their shape, in JavaScript's memory. `tensor[i]` is entry `i` of the first dimension. */
export class HostTensor<Data extends HostData = Float32Array> {
  readonly type: HostType;
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

  /**
   * Returns the numbers as another type, or itself if it has that type. Integers take the whole part, int64 the next
   * integer below. Throws ArgumentError for an unknown type.
   */
  to<Type extends HostType>(type: Type): HostTensor<ArrayOfType[Type]> {
    checkOneOf('to', 'type', type, Object.values(TYPES));
    if ((this.type as HostType) === type) return this as unknown as HostTensor<ArrayOfType[Type]>;
    return hostTensorOf(type, this.data, this.dims);
  }

  clone(): HostTensor<Data> {
    return new HostTensor(this.data.slice() as Data, this.dims);
  }

  /** Replaces each number by the result of a function. Returns itself. Methods that end in `_` change the tensor. */
  map_(change: (value: Data[number], i: number, data: Data) => Data[number]): this {
    const { data } = this;
    for (let i = 0; i < data.length; i++) data[i] = change(data[i] as Data[number], i, data);
    return this;
  }

  map(change: (value: Data[number], i: number, data: Data) => Data[number]): HostTensor<Data> {
    return this.clone().map_(change);
  }

  add_(value: number): this {
    return eachNumber(this, 'add', (x) => x + value);
  }

  add(value: number): HostTensor<Data> {
    return this.clone().add_(value);
  }

  sub_(value: number): this {
    return eachNumber(this, 'sub', (x) => x - value);
  }

  sub(value: number): HostTensor<Data> {
    return this.clone().sub_(value);
  }

  mul_(value: number): this {
    return eachNumber(this, 'mul', (x) => x * value);
  }

  mul(value: number): HostTensor<Data> {
    return this.clone().mul_(value);
  }

  div_(value: number): this {
    return eachNumber(this, 'div', (x) => x / value);
  }

  div(value: number): HostTensor<Data> {
    return this.clone().div_(value);
  }

  neg_(): this {
    return eachNumber(this, 'neg', (x) => -x);
  }

  neg(): HostTensor<Data> {
    return this.clone().neg_();
  }

  sigmoid_(): this {
    return eachNumber(this, 'sigmoid', (x) => 1 / (1 + Math.exp(-x)));
  }

  sigmoid(): HostTensor<Data> {
    return this.clone().sigmoid_();
  }

  /** Limits numbers to `min` and `max`. */
  clamp_(min: number, max: number): this {
    return eachNumber(this, 'clamp', (x) => Math.min(Math.max(x, min), max));
  }

  clamp(min: number, max: number): HostTensor<Data> {
    return this.clone().clamp_(min, max);
  }

  round_(): this {
    return eachNumber(this, 'round', Math.round);
  }

  round(): HostTensor<Data> {
    return this.clone().round_();
  }

  /** 1 where a number is greater than `value`. */
  gt(value: number): HostTensor<Uint8Array> {
    return new HostTensor(
      Uint8Array.from(this.data as ArrayLike<number>, (x) => (x > value ? 1 : 0)),
      this.dims,
    );
  }

  /** 1 where a number is less than `value`. */
  lt(value: number): HostTensor<Uint8Array> {
    return new HostTensor(
      Uint8Array.from(this.data as ArrayLike<number>, (x) => (x < value ? 1 : 0)),
      this.dims,
    );
  }

  /** The sum of all numbers, or those along a dimension, which `keepdim` keeps with one entry. */
  sum(dim: number | null = null, keepdim = false): HostTensor<Data> {
    return along(this, 'sum', dim, keepdim, (numbers) => numbers.reduce((a, b) => a + b, 0));
  }

  mean(dim: number | null = null, keepdim = false): HostTensor<Data> {
    return along(this, 'mean', dim, keepdim, (numbers) => numbers.reduce((a, b) => a + b, 0) / numbers.length);
  }

  max(dim: number | null = null, keepdim = false): HostTensor<Data> {
    return along(this, 'max', dim, keepdim, (numbers) => numbers.reduce((a, b) => Math.max(a, b)));
  }

  min(dim: number | null = null, keepdim = false): HostTensor<Data> {
    return along(this, 'min', dim, keepdim, (numbers) => numbers.reduce((a, b) => Math.min(a, b)));
  }

  /** The root of order `p` of the sum of powers. */
  norm(p: number | 'fro' = 2, dim: number | null = null, keepdim = false): HostTensor<Data> {
    const order = p === 'fro' ? 2 : p;
    const ofPowers = (numbers: readonly number[]) => numbers.reduce((sum, x) => sum + Math.abs(x) ** order, 0);
    return along(this, 'norm', dim, keepdim, (numbers) => ofPowers(numbers) ** (1 / order));
  }

  /** The index of the greatest of all numbers, a tensor of one integer. */
  argmax(): HostTensor<BigInt64Array> {
    return indexOf(this.data, (a, b) => a > b);
  }

  argmin(): HostTensor<BigInt64Array> {
    return indexOf(this.data, (a, b) => a < b);
  }

  /** Returns the same numbers in another shape, in which -1 stands for the remaining entries. Throws ShapeError. */
  view(...dims: readonly number[]): HostTensor<Data> {
    const known = dims.reduce((product, n) => (n === -1 ? product : product * n), 1);
    const others = known === 0 ? 0 : this.size / known;
    if (!Number.isInteger(others) || dims.some((n) => !Number.isInteger(n)))
      throw new ShapeError(`view: [${this.dims.join(', ')}] has ${this.size} numbers, expected those of [${dims}]`);
    return new HostTensor(
      this.data,
      dims.map((n) => (n === -1 ? others : n)),
    );
  }

  /** Returns the tensor with a new dimension of one entry. Throws ArgumentError. */
  unsqueeze(dim: number): HostTensor<Data> {
    const axis = axisOf('unsqueeze', dim, this.dims.length + 1);
    return this.view(...this.dims.slice(0, axis), 1, ...this.dims.slice(axis));
  }

  /** Returns the tensor without all dimensions of one entry, or without `dim` if it has one. Throws ArgumentError. */
  squeeze(dim: number | readonly number[] | null = null): HostTensor<Data> {
    const chosen = dim === null ? null : [dim].flat().map((each) => axisOf('squeeze', each, this.dims.length));
    return this.view(...this.dims.filter((n, axis) => n !== 1 || (chosen !== null && !chosen.includes(axis))));
  }

  /** Returns the tensor with the dimensions from `start_dim` to `end_dim` as one. Throws ArgumentError. */
  flatten(start_dim = 0, end_dim = -1): HostTensor<Data> {
    if (this.dims.length === 0) return this.view(1);
    const [start, end] = [start_dim, end_dim].map((dim) => axisOf('flatten', dim, this.dims.length)) as [
      number,
      number,
    ];
    const joined = this.dims.slice(start, end + 1).reduce((product, n) => product * n, 1);
    return this.view(...this.dims.slice(0, start), joined, ...this.dims.slice(end + 1));
  }

  /** Returns a copy with its dimensions in another order. Throws ArgumentError. */
  permute(...dims: readonly number[]): HostTensor<Data> {
    const axes = dims.map((dim) => axisOf('permute', dim, this.dims.length));
    if (axes.length !== this.dims.length || new Set(axes).size !== axes.length)
      throw new ArgumentError(
        `permute: the dimensions are ${dims.join(', ')}, expected each of [${this.dims.join(', ')}]`,
      );
    return new HostTensor(
      permuted(this.data, this.dims, axes),
      axes.map((axis) => this.dims[axis] as number),
    );
  }

  /** Same as `permute`, as in transformers.js. */
  transpose(...dims: readonly number[]): HostTensor<Data> {
    return this.permute(...dims);
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

/** Changes each number of a tensor, and returns it. Throws DTypeError for int64. */
function eachNumber<Tensor extends HostTensor<HostData>>(
  tensor: Tensor,
  op: string,
  change: (value: number) => number,
): Tensor {
  const { data } = tensor;
  if (data instanceof BigInt64Array) throw new DTypeError(`${op}: the tensor is int64, expected to('float32') first`);
  for (let i = 0; i < data.length; i++) data[i] = change(data[i] as number);
  return tensor;
}

/** Reduces the numbers along a dimension, or all of them. Throws ShapeError, ArgumentError. */
function along<Data extends HostData>(
  { type, data, dims }: HostTensor<Data>,
  op: string,
  dim: number | null,
  keepdim: boolean,
  ofNumbers: (numbers: readonly number[]) => number,
): HostTensor<Data> {
  if (data.length === 0) throw new ShapeError(`${op}: the tensor is [${dims.join(', ')}], expected numbers`);
  const axis = dim === null ? null : axisOf(op, dim, dims.length);
  const result = reduced(data, dims, axis, keepdim, ofNumbers);
  return hostTensorOf(type, result.values, result.dims) as unknown as HostTensor<Data>;
}

function indexOf<Data extends HostData>(
  data: Data,
  isBetter: (a: Data[number], b: Data[number]) => boolean,
): HostTensor<BigInt64Array> {
  let best = 0;
  for (let i = 1; i < data.length; i++) if (isBetter(data[i] as Data[number], data[best] as Data[number])) best = i;
  return new HostTensor(BigInt64Array.of(BigInt(best)), []);
}

/**
 * Makes a tensor of a type from numbers, which may have another one. Integers take the whole part, int64 the next
 * integer below.
 */
export function hostTensorOf<Type extends HostType>(
  type: Type,
  values: ArrayLike<number | bigint>,
  dims: readonly number[],
): HostTensor<ArrayOfType[Type]> {
  const toBigInt = (x: number | bigint) => (typeof x === 'bigint' ? x : BigInt(Math.floor(x)));
  const of = { float32: Float32Array, int8: Int8Array, uint8: Uint8Array };
  const data =
    type === 'int64'
      ? BigInt64Array.from(values, toBigInt)
      : of[type as keyof typeof of].from(Array.from(values, Number));
  return new HostTensor(data as ArrayOfType[Type], dims);
}

/** Returns a dimension that may count from the end. Throws ArgumentError. */
export function axisOf(op: string, dim: number, count: number): number {
  const axis = dim < 0 ? dim + count : dim;
  if (Number.isInteger(axis) && axis >= 0 && axis < count) return axis;
  throw new ArgumentError(`${op}: dimension ${describeValue(dim)} is out of range for ${count} dimensions`);
}

const TYPES = { Float32Array: 'float32', Int8Array: 'int8', Uint8Array: 'uint8', BigInt64Array: 'int64' } as const;

/** Implements `tensor[i]` for any number of entries, without a property for each. */
const INDEXED: ProxyHandler<HostTensor<HostData>> = {
  get: (tensor, name, receiver) =>
    typeof name === 'string' && /^\d+$/.test(name) && Number(name) < (tensor.dims[0] ?? 0)
      ? tensor.at(Number(name))
      : Reflect.get(tensor, name, receiver),
};
