// Functions on tensors in JavaScript's memory, by the names of transformers.js.

import { checkOneOf, checkOptions, describeValue, type OptionRule } from '../../core/check.js';
import { ArgumentError, ShapeError } from '../../core/errors.js';
import { Random } from '../../core/random.js';
import { bilinear, type MapSize } from '../bilinear.js';
import { type ArrayOfType, axisOf, type HostData, HostTensor, type HostType, hostTensorOf } from '../host-tensor.js';
import { packedBits } from '../packed-bits.js';
import { largest } from '../scores.js';
import { reduced } from '../tensor-axes.js';

/** A tensor of any type. */
export type Tensor<Data extends HostData = HostData> = HostTensor<Data>;

/** Makes tensors of a type, of numbers and of a shape. `bool` is uint8 here. */
export interface TensorConstructor {
  new <Type extends HostType | 'bool'>(
    type: Type,
    data: ArrayLike<number | bigint>,
    dims: readonly number[],
  ): HostTensor<Type extends HostType ? ArrayOfType[Type] : Uint8Array>;
  [Symbol.hasInstance](value: unknown): boolean;
}

/** The constructor that transformers.js has for tensors. Throws ArgumentError for an unknown type, and ShapeError. */
export const Tensor: TensorConstructor = class {
  constructor(type: HostType | 'bool', data: ArrayLike<number | bigint>, dims: readonly number[]) {
    checkOneOf('Tensor', 'type', type, ['float32', 'int64', 'int8', 'uint8', 'bool']);
    // biome-ignore lint/correctness/noConstructorReturn: the class is HostTensor, whose constructor takes no type.
    return hostTensorOf(type === 'bool' ? 'uint8' : type, data, dims);
  }

  static [Symbol.hasInstance](value: unknown): boolean {
    return value instanceof HostTensor;
  }
} as TensorConstructor;

function checkTensor(op: string, name: string, value: unknown): void {
  if (!(value instanceof HostTensor))
    throw new ArgumentError(`${op}: ${name} is ${describeValue(value)}, expected a tensor of a model or tokenizer`);
}

const shapeOf = ({ dims }: HostTensor<HostData>) => `[${dims.join(', ')}]`;

/** Joins tensors along a dimension that exists. Throws ShapeError, ArgumentError. */
export function cat<Data extends HostData>(tensors: readonly HostTensor<Data>[], dim = 0): HostTensor<Data> {
  const [first] = tensors;
  for (const [i, tensor] of tensors.entries()) checkTensor('cat', `tensors[${i}]`, tensor);
  if (first === undefined) throw new ArgumentError('cat: there are no tensors, expected at least one');
  const axis = axisOf('cat', dim, first.dims.length);
  const others = (tensor: HostTensor<Data>) => `${tensor.type} ${tensor.dims.toSpliced(axis, 1)}`;
  const odd = tensors.find((tensor) => others(tensor) !== others(first));
  if (odd !== undefined)
    throw new ShapeError(
      `cat: tensors are ${first.type} ${shapeOf(first)} and ${odd.type} ${shapeOf(odd)}, expected one type, and the same shape beside dimension ${axis}`,
    );
  const dims = first.dims.with(
    axis,
    tensors.reduce((sum, tensor) => sum + (tensor.dims[axis] as number), 0),
  );
  const size = dims.reduce((a, b) => a * b, 1);
  const data = new (first.data.constructor as new (size: number) => Data)(size);
  const blocks = dims.slice(0, axis).reduce((a, b) => a * b, 1);
  for (let block = 0, to = 0; block < blocks; block++)
    for (const tensor of tensors) {
      const length = tensor.size / blocks;
      data.set(tensor.data.subarray(block * length, (block + 1) * length) as never, to);
      to += length;
    }
  return new HostTensor(data, dims);
}

/** Joins tensors of one shape along a new dimension. Throws as `cat`. */
export function stack<Data extends HostData>(tensors: readonly HostTensor<Data>[], dim = 0): HostTensor<Data> {
  for (const [i, tensor] of tensors.entries()) checkTensor('stack', `tensors[${i}]`, tensor);
  return cat(
    tensors.map((tensor) => tensor.unsqueeze(dim)),
    dim,
  );
}

/** Same as the method `mean`. */
export function mean(input: HostTensor, dim: number | null = null, keepdim = false): HostTensor {
  checkTensor('mean', 'input', input);
  return input.mean(dim, keepdim);
}

/** Same as the method `permute`. */
export function permute<Data extends HostData>(input: HostTensor<Data>, axes: readonly number[]): HostTensor<Data> {
  checkTensor('permute', 'input', input);
  return input.permute(...axes);
}

/**
 * Gives each row of the last dimension the mean 0 and the variance 1. `normalized_shape` is [features]. Throws ShapeError,
 * ArgumentError.
 */
export function layer_norm(
  input: HostTensor,
  normalized_shape: readonly number[],
  options: { readonly eps?: number | undefined } = {},
): HostTensor {
  checkTensor('layer_norm', 'input', input);
  const { eps = 1e-5 } = checkOptions('layer_norm', options, { eps: 'number' });
  const width = input.dims.at(-1);
  if (width === undefined || `${normalized_shape}` !== `${width}`)
    throw new ShapeError(
      `layer_norm: normalized_shape is [${normalized_shape}] for ${shapeOf(input)}, expected the last dimension`,
    );
  const data = input.data.slice();
  for (let start = 0; start < data.length; start += width) {
    const row = data.subarray(start, start + width);
    const average = row.reduce((sum, x) => sum + x, 0) / width;
    const variance = row.reduce((sum, x) => sum + (x - average) ** 2, 0) / width;
    for (let i = 0; i < width; i++) row[i] = ((row[i] as number) - average) / Math.sqrt(variance + eps);
  }
  return new HostTensor(data, input.dims);
}

/** Bits of vectors [B, d], eight in a byte: 'binary' is int8, 'ubinary' is uint8. Throws ArgumentError. */
export function quantize_embeddings(
  tensor: HostTensor,
  precision: 'binary' | 'ubinary',
): HostTensor<Int8Array | Uint8Array> {
  checkTensor('quantize_embeddings', 'tensor', tensor);
  checkOneOf('quantize_embeddings', 'precision', precision, ['binary', 'ubinary']);
  return packedBits('quantize_embeddings:', tensor, precision);
}

/**
 * The product of matrices [m, k] and [k, n]. `a` may have several, [..., m, k], for one `b` or for as many, [..., k, n].
 * Rejects with ShapeError or ArgumentError.
 */
export async function matmul(a: HostTensor, b: HostTensor): Promise<HostTensor> {
  checkTensor('matmul', 'a', a);
  checkTensor('matmul', 'b', b);
  const [rows = 0, inner = 0] = a.dims.slice(-2);
  const [sameInner, columns = 0] = b.dims.slice(-2);
  const outer = a.dims.slice(0, -2);
  const isShared = b.dims.length === 2;
  if (a.dims.length < 2 || inner !== sameInner || !(isShared || `${outer}` === `${b.dims.slice(0, -2)}`))
    throw new ShapeError(`matmul: a is ${shapeOf(a)} and b ${shapeOf(b)}, expected [..., m, k] and [..., k, n]`);
  const count = outer.reduce((product, n) => product * n, 1);
  const data = new Float32Array(count * rows * columns);
  for (let to = 0; to < data.length; to++) {
    const [column, row] = [to % columns, Math.floor(to / columns)];
    const start = isShared ? 0 : Math.floor(row / rows) * inner * columns;
    let sum = 0;
    for (let i = 0; i < inner; i++)
      sum += (a.data[row * inner + i] as number) * (b.data[start + i * columns + column] as number);
    data[to] = sum;
  }
  return new HostTensor(data, [...outer, rows, columns]);
}

/**
 * The `k` greatest numbers of each row of the last dimension in descending order, and their indices. Default: all.
 * Rejects with ArgumentError.
 */
export async function topk(x: HostTensor, k?: number): Promise<[HostTensor, HostTensor<BigInt64Array>]> {
  checkTensor('topk', 'x', x);
  const width = x.dims.at(-1) ?? 0;
  const count = k ?? width;
  if (!(Number.isInteger(count) && count > 0 && count <= width))
    throw new ArgumentError(`topk: k is ${describeValue(k)}, expected 1 to ${width}`);
  const rows = Array.from({ length: x.size / width }, (_, i) => x.data.subarray(i * width, (i + 1) * width));
  const indices = rows.map((row) => largest(row, count));
  const dims = [...x.dims.slice(0, -1), count];
  const values = rows.flatMap((row, i) => (indices[i] as number[]).map((index) => row[index] as number));
  return [new HostTensor(new Float32Array(values), dims), hostTensorOf('int64', indices.flat(), dims)];
}

/** Resizes maps [..., height, width] as torch does, without antialiasing. */
function resizedMaps(op: string, input: HostTensor, size: MapSize, mode: string): HostTensor {
  checkTensor(op, 'input', input);
  checkOneOf(op, 'mode', mode, ['bilinear']);
  const { dims } = input;
  if (dims.length < 2 || size.length !== 2 || !size.every(isSide))
    throw new ShapeError(`${op}: the size is [${size}] for ${shapeOf(input)}, expected height and width`);
  const from = dims.slice(-2) as [number, number];
  const [area, newArea] = [from[0] * from[1], size[0] * size[1]];
  const data = new Float32Array((input.size / area) * newArea);
  for (let i = 0; i * area < input.size; i++)
    data.set(bilinear(input.data.subarray(i * area, (i + 1) * area), from, from, size), i * newArea);
  return new HostTensor(data, [...dims.slice(0, -2), ...size]);
}

/** Resizes maps [channels, height, width]. `size`: height and width. Throws ShapeError, ArgumentError. */
export function interpolate(input: HostTensor, size: MapSize, mode = 'bilinear', align_corners = false): HostTensor {
  if (align_corners) throw new ArgumentError('interpolate: align_corners is true, expected false');
  return resizedMaps('interpolate', input, size, mode);
}

const isSide = (side: unknown) => Number.isInteger(side) && (side as number) > 0;
const SIZE: OptionRule = {
  accepts: (value) => Array.isArray(value) && value.every(isSide),
  expected: 'an array of height and width, positive integers',
};

/**
 * Resizes maps [B, channels, height, width]. `size`: height and width, or the whole new shape. Rejects with ShapeError,
 * ArgumentError.
 */
export async function interpolate_4d(
  input: HostTensor,
  options: { readonly size: readonly number[]; readonly mode?: 'bilinear' | undefined },
): Promise<HostTensor> {
  const { size, mode = 'bilinear' } = checkOptions('interpolate_4d', options, { size: SIZE, mode: ['bilinear'] });
  if (size === undefined || `${size.slice(0, -2)}` !== `${size.length > 2 ? input.dims.slice(-size.length, -2) : ''}`)
    throw new ShapeError(
      `interpolate_4d: the size is ${describeValue(size)} for ${shapeOf(input)}, expected an array of height and width`,
    );
  return resizedMaps('interpolate_4d', input, size.slice(-2) as unknown as MapSize, mode);
}

/** A tensor filled with one number. Whole numbers given as bigint make int64, others float32. */
export function full<Value extends number | bigint>(
  size: readonly number[],
  fill_value: Value,
): HostTensor<Value extends bigint ? BigInt64Array : Float32Array> {
  const values = new Array<Value>(size.reduce((a, b) => a * b, 1)).fill(fill_value);
  const made = hostTensorOf(typeof fill_value === 'bigint' ? 'int64' : 'float32', values, size);
  return made as HostTensor<Value extends bigint ? BigInt64Array : Float32Array>;
}

/** An int64 tensor of ones, as in transformers.js. */
export const ones = (size: readonly number[]): HostTensor<BigInt64Array> => full(size, 1n);

/** An int64 tensor of zeros, as in transformers.js. */
export const zeros = (size: readonly number[]): HostTensor<BigInt64Array> => full(size, 0n);

/** An int64 tensor of ones with the shape of another one. */
export const ones_like = (tensor: HostTensor<HostData>): HostTensor<BigInt64Array> => ones(tensor.dims);

/** An int64 tensor of zeros with the shape of another one. */
export const zeros_like = (tensor: HostTensor<HostData>): HostTensor<BigInt64Array> => zeros(tensor.dims);

/** A tensor filled with one number, with the shape of another one. */
export const full_like = <Value extends number | bigint>(tensor: HostTensor<HostData>, fill_value: Value) =>
  full(tensor.dims, fill_value);

/** Numbers between 0 and 1 by chance. */
export const rand = (size: readonly number[]): HostTensor => full(size, 0).map(() => Math.random());

/** Normally distributed numbers by chance, with mean 0 and standard deviation 1. */
export function randn(size: readonly number[]): HostTensor {
  const random = new Random(Math.floor(Math.random() * 2 ** 32));
  return full(size, 0).map(() => random.normal());
}

/**
 * Returns the standard deviations and the means along a dimension, or of all numbers. Squares are divided by the count of
 * numbers minus `correction`. Throws as the method `mean`.
 */
export function std_mean(
  input: HostTensor,
  dim: number | null = null,
  correction = 1,
  keepdim = false,
): [deviations: HostTensor, means: HostTensor] {
  checkTensor('std_mean', 'input', input);
  const means = input.mean(dim, keepdim);
  const axis = dim === null ? null : axisOf('std_mean', dim, input.dims.length);
  const { values } = reduced(input.data, input.dims, axis, keepdim, (numbers) => {
    const middle = numbers.reduce((a, b) => a + b, 0) / numbers.length;
    return Math.sqrt(numbers.reduce((a, b) => a + (b - middle) ** 2, 0) / (numbers.length - correction));
  });
  return [new HostTensor(Float32Array.from(values), means.dims), means];
}

/**
 * Cuts `axes`: entries `starts[i]` up to `ends[i]` of `axes[i]`. Negative numbers count from the end. Rejects with
 * ArgumentError.
 */
export async function slice<Data extends HostData>(
  data: HostTensor<Data>,
  starts: readonly number[],
  ends: readonly number[],
  axes: readonly number[],
): Promise<HostTensor<Data>> {
  checkTensor('slice', 'data', data);
  const parts: (readonly [number, number] | null)[] = data.dims.map(() => null);
  for (const [i, axis] of axes.entries())
    parts[axisOf('slice', axis, data.dims.length)] = [starts[i] as number, ends[i] as number];
  return data.slice(...parts);
}
