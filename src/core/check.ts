// What ops check before they emit anything. Every message names the op, what was given and what was expected.

import { ArgumentError, DeviceError, DTypeError, ShapeError } from './errors.js';
import { type DType, lastOf, type Shape, sameShape, Tensor } from './tensor.js';

export function describeShape(shape: Shape): string {
  return `[${shape.join(', ')}]`;
}

/** All tensors of an op: usable and of one device, which it returns. */
export function checkDevice(op: string, tensors: Readonly<Record<string, Tensor | null | undefined>>) {
  let first: Tensor | undefined;
  for (const [name, tensor] of Object.entries(tensors)) {
    if (tensor === null || tensor === undefined) continue;
    if (!(tensor instanceof Tensor)) throw new ArgumentError(`${op}: ${name} is ${typeof tensor}, expected a tensor`);
    tensor.assertUsable(`${op}: ${name}`);
    first ??= tensor;
    if (tensor.device !== first.device)
      throw new DeviceError(`${op}: ${name} is on another device than its other tensors`);
  }
  if (first === undefined) throw new ArgumentError(`${op}: expected a tensor`);
  return first.device;
}

export function checkDType(op: string, name: string, tensor: Tensor, dtype: DType): void {
  // Checked again for callers without types: checkDevice takes what is absent for optional.
  if (!(tensor instanceof Tensor)) throw new ArgumentError(`${op}: ${name} is ${tensor}, expected a tensor`);
  if (tensor.dtype !== dtype) throw new DTypeError(`${op}: ${name} is ${tensor.dtype}, expected ${dtype}`);
}

export function checkShape(op: string, name: string, tensor: Tensor, shape: Shape): void {
  if (!sameShape(tensor.shape, shape)) {
    throw new ShapeError(`${op}: ${name} is ${describeShape(tensor.shape)}, expected ${describeShape(shape)}`);
  }
}

export function checkNumber(
  op: string,
  name: string,
  value: number,
  accepts: (value: number) => boolean,
  expected: string,
): void {
  if (typeof value !== 'number' || !accepts(value))
    throw new ArgumentError(`${op}: ${name} is ${value}, expected ${expected}`);
}

/** Options of a function, once they are an object: callers without types give null, too. */
export function checkOptions<Options extends object>(op: string, options: Options): Options {
  if (typeof options === 'object' && options !== null) return options;
  throw new ArgumentError(`${op}: the options are ${options}, expected an object`);
}

/** A function to call, for callers without types. */
export function checkFunction(op: string, fn: unknown): void {
  if (typeof fn !== 'function') throw new ArgumentError(`${op}: fn is ${typeof fn}, expected a function`);
}

/** A choice among names. */
export function checkOneOf(op: string, name: string, value: unknown, names: readonly string[]): void {
  if (!names.includes(value as string)) {
    throw new ArgumentError(`${op}: ${name} is ${JSON.stringify(value)}, expected one of ${names.join(', ')}`);
  }
}

/** A tensor as a matrix: its last dimension are the columns, all others together the rows. */
export function matrixOf(tensor: Tensor): { rows: number; cols: number; stride: number } {
  const cols = lastOf(tensor.shape);
  return { rows: tensor.size / cols, cols, stride: tensor.rowStride };
}

/** The position of `axis` (negative counts from the end) in `shape`. */
export function checkAxis(op: string, axis: number, shape: Shape): number {
  const position = axis < 0 ? axis + shape.length : axis;
  if (!(Number.isInteger(axis) && position >= 0 && position < shape.length)) {
    throw new ArgumentError(`${op}: axis ${axis} is not a dimension of ${describeShape(shape)}`);
  }
  return position;
}
