// What ops check before they emit anything. Every message names the op, what was given and what was expected.

import type { Device } from './device.js';
import { ArgumentError, DeviceError, DTypeError, ShapeError } from './errors.js';
import { isPromise, isSignal, isTyped } from './kinds.js';
import { type DType, lastOf, type Shape, sameShape, Tensor } from './tensor.js';

/** What was given, for a message. Callers without types may give anything, even what has no text form or a long one. */
export function describeValue(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'function') return 'a function';
  if (typeof value !== 'object' || value === null) return String(value);
  if (value instanceof Tensor) return `a tensor ${describeShape(value.shape)}`;
  if (Array.isArray(value)) return 'an array';
  return isPromise(value) ? 'a Promise' : 'an object';
}

export function describeShape(shape: readonly unknown[]): string {
  return `[${shape.map(describeValue).join(', ')}]`;
}

/** All tensors of an op, of which the `optional` ones may be absent: usable and of one device, which it returns. */
export function checkDevice(
  op: string,
  tensors: Readonly<Record<string, Tensor>>,
  optional?: Readonly<Record<string, Tensor | null | undefined>>,
): Device {
  let device: Device | undefined;
  for (const name in tensors) device = checkTensor(op, name, tensors[name] as Tensor, device);
  for (const name in optional) {
    const tensor = optional[name];
    if (tensor !== null && tensor !== undefined) device = checkTensor(op, name, tensor, device);
  }
  if (device === undefined) throw new ArgumentError(`${op}: expected a tensor`);
  return device;
}

/** A tensor: usable and of `device`, if that is known from others. Returns its device. */
export function checkTensor(op: string, name: string, tensor: Tensor, device?: Device): Device {
  if (!(tensor instanceof Tensor))
    throw new ArgumentError(`${op}: ${name} is ${describeValue(tensor)}, expected a tensor`);
  tensor.assertUsable(`${op}: ${name}`);
  if (device !== undefined && tensor.device !== device)
    throw new DeviceError(`${op}: ${name} is on another device than its other tensors`);
  return tensor.device;
}

/** An array of at least one tensor, as `checkTensor`. Returns their device. */
export function checkTensorList(op: string, name: string, tensors: readonly Tensor[]): Device {
  checkArray(op, name, tensors, 'an array of tensors');
  let device: Device | undefined;
  for (const [i, tensor] of tensors.entries()) device = checkTensor(op, `${name}[${i}]`, tensor, device);
  if (device === undefined) throw new ArgumentError(`${op}: ${name} is [], expected at least one tensor`);
  return device;
}

export function checkDType(op: string, name: string, tensor: { readonly dtype: DType }, dtype: DType): void {
  if (tensor.dtype !== dtype) throw new DTypeError(`${op}: ${name} is ${tensor.dtype}, expected ${dtype}`);
}

/** The same of several tensors, some of which may be absent. */
export function checkDTypes(op: string, tensors: Readonly<Record<string, Tensor | null>>, dtype: DType): void {
  for (const name in tensors) {
    const tensor = tensors[name];
    if (tensor) checkDType(op, name, tensor, dtype);
  }
}

export function checkShape(op: string, name: string, tensor: Tensor, shape: Shape): void {
  if (!sameShape(tensor.shape, shape)) {
    throw new ShapeError(`${op}: ${name} is ${describeShape(tensor.shape)}, expected ${describeShape(shape)}`);
  }
}

/** A number for which `accepts` returns true. Returns it. */
export function checkNumber(
  op: string,
  name: string,
  value: number,
  accepts: (value: number) => boolean,
  expected: string,
): number {
  if (typeof value !== 'number' || !accepts(value))
    throw new ArgumentError(`${op}: ${name} is ${describeValue(value)}, expected ${expected}`);
  return value;
}

export const isNotNaN = (value: number) => !Number.isNaN(value);
export const isCount = (value: number) => Number.isInteger(value) && value > 0;
export const isWhole = (value: number) => Number.isInteger(value) && value >= 0;
export const isFraction = (value: number) => value >= 0 && value < 1;
export const isPositive = (value: number) => value > 0 && Number.isFinite(value);
export const isNotNegative = (value: number) => value >= 0 && Number.isFinite(value);
/** An integer that the engine can hold: any other would wrap around there. */
export const isInt32 = (value: number) => value === (value | 0);
export const isUint32 = (value: number) => value === value >>> 0;
/** What messages say that `isUint32` expects. */
export const UINT32 = 'an integer from 0 to 2³² − 1';

/** Not only 32 bits: Date.now() makes a seed, too. */
export const isSeed = (value: number) => Number.isSafeInteger(value) && value >= 0;
/** What messages say that `isSeed` expects. */
export const SEED = 'an integer, 0 or more';

export function checkSeed(op: string, seed: number): void {
  checkNumber(op, 'seed', seed, isSeed, SEED);
}

/** An object that is no array, and nothing to wait for. */
export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !isPromise(value);

/** Options of a function; for callers without types, who give null or a value without its name, too. */
export function checkOptions<Options extends object>(op: string, options: Options): Options {
  if (isObject(options) && !(options instanceof Tensor)) return options;
  throw new ArgumentError(`${op}: the options are ${describeValue(options)}, expected an object like { name: value }`);
}

/** `defaults`, or what the options of these names say instead. Undefined says nothing. */
export function withDefaults<All extends object>(
  options: { readonly [Name in keyof All]?: All[Name] | undefined },
  defaults: All,
): All {
  const all = { ...defaults };
  for (const name of Object.keys(defaults) as (keyof All)[]) {
    const value = options[name];
    if (value !== undefined) all[name] = value;
  }
  return all;
}

/** Options, once they are an object with nothing in it but `names`: what is misspelt must not count as left out. */
export function checkKnown<Options extends object>(
  op: string,
  options: Options,
  names: readonly (keyof Options & string)[],
): Options {
  const known: readonly string[] = names;
  const unknown = Object.keys(checkOptions(op, options)).find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new ArgumentError(`${op}: there is no option ${unknown}, only ${known.join(', ')}`);
  }
  return options;
}

/** A function to call, for callers without types. */
export function checkFunction(op: string, fn: unknown): void {
  if (typeof fn !== 'function') throw new ArgumentError(`${op}: fn is ${describeValue(fn)}, expected a function`);
}

export function checkSignal(op: string, signal: AbortSignal | undefined): void {
  if (signal === undefined || isSignal(signal)) return;
  throw new ArgumentError(`${op}: signal is ${describeValue(signal)}, expected an AbortSignal`);
}

/** What a function returned that must not be asynchronous. */
export function checkSynchronous<T>(op: string, result: T): T {
  if (!isPromise(result)) return result;
  Promise.resolve(result).catch(() => {}); // fails, as what it uses ends here, and nobody else hears of it
  throw new ArgumentError(`${op}: fn is asynchronous, expected one that returns no Promise`);
}

/** Integers that the engine can hold, from `least` on. */
export function checkSizes(op: string, values: Readonly<Record<string, number | undefined>>, least: 0 | 1): void {
  for (const [name, value] of Object.entries(values)) {
    const isSize = (size: number) => isInt32(size) && size >= least;
    checkNumber(op, name, value as number, isSize, `an integer from ${least} to 2³¹ − 1`);
  }
}

/** A choice among names, or truth and names. */
export function checkOneOf(op: string, name: string, value: unknown, names: readonly (string | boolean)[]): void {
  if (!names.includes(value as string)) {
    throw new ArgumentError(`${op}: ${name} is ${describeValue(value)}, expected one of ${names.join(', ')}`);
  }
}

export function checkArray(op: string, name: string, value: readonly unknown[], expected: string): void {
  if (!Array.isArray(value)) throw new ArgumentError(`${op}: ${name} is ${describeValue(value)}, expected ${expected}`);
}

/** Integers where a tensor would do as well; what they may be is left to the op. */
export function checkIntegers(op: string, name: string, values: readonly number[] | Int32Array): void {
  if (!isTyped(values, 'Int32Array')) checkArray(op, name, values, 'an array of integers or an int32 tensor');
}

/** A tensor as a matrix: its last dimension is the columns, all others together are the rows. */
export function matrixOf(tensor: Tensor): { rows: number; cols: number; stride: number } {
  const cols = lastOf(tensor.shape);
  return { rows: tensor.size / cols, cols, stride: tensor.rowStride };
}

/** The position of `axis` (negative counts from the end) in `shape`. */
export function checkAxis(op: string, axis: number, shape: Shape): number {
  const position = Number.isInteger(axis) ? (axis < 0 ? axis + shape.length : axis) : -1;
  if (!(position >= 0 && position < shape.length)) {
    throw new ArgumentError(`${op}: axis ${describeValue(axis)} is not a dimension of ${describeShape(shape)}`);
  }
  return position;
}
