// Checks of plain values. Every message names the function, the given value and the expected one.

import { ArgumentError } from './errors.js';
import { isPromise, isSignal, isTensorLike, isTyped } from './kinds.js';
import type { Shape } from './shape.js';

/**
 * Describes a given value for a message. Untyped callers may pass anything, even values without a text form or with a
 * long one.
 */
export function describeValue(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'function') return 'a function';
  if (typeof value !== 'object' || value === null) return String(value);
  if (isTensorLike(value)) return `a tensor ${describeShape(value.shape)}`;
  if (Array.isArray(value)) return 'an array';
  return isPromise(value) ? 'a Promise' : 'an object';
}

export function describeShape(shape: readonly unknown[]): string {
  return `[${shape.map(describeValue).join(', ')}]`;
}

/** Checks that `accepts` returns true for a number. Returns the number. */
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
/** Describes values that `isShare` accepts, such as probabilities. */
export const SHARE = 'a number from 0 to 1';
export const isShare = (value: number) => value >= 0 && value <= 1;
/** Describes values that `isPositiveShare` accepts. */
export const POSITIVE_SHARE = 'a number above 0, at most 1';
export const isPositiveShare = (value: number) => value > 0 && value <= 1;
export const isNotNegative = (value: number) => value >= 0 && Number.isFinite(value);
/** True for an integer that the engine can hold without wrapping around. */
export const isInt32 = (value: number) => value === (value | 0);
export const isUint32 = (value: number) => value === value >>> 0;
/** Describes values that `isUint32` accepts. */
export const UINT32 = 'an integer from 0 to 2³² − 1';

/** Seeds may exceed 32 bits, because Date.now() is a common seed. */
export const isSeed = (value: number) => Number.isSafeInteger(value) && value >= 0;
/** Describes values that `isSeed` accepts. */
export const SEED = 'an integer, 0 or more';

export function checkSeed(op: string, seed: number): void {
  checkNumber(op, 'seed', seed, isSeed, SEED);
}

/** True for an object that is neither an array nor a promise. */
export const isObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value) && !isPromise(value);

/** Checks that untyped callers pass a function. */
export function checkFunction(op: string, fn: unknown): void {
  if (typeof fn !== 'function') throw new ArgumentError(`${op}: fn is ${describeValue(fn)}, expected a function`);
}

export function checkSignal(op: string, signal: AbortSignal | undefined): void {
  if (signal === undefined || isSignal(signal)) return;
  throw new ArgumentError(`${op}: signal is ${describeValue(signal)}, expected an AbortSignal`);
}

/** Checks that a callback did not return a promise. */
export function checkSynchronous<T>(op: string, result: T): T {
  if (!isPromise(result)) return result;
  Promise.resolve(result).catch(() => {}); // it may reject, and nobody else handles that
  throw new ArgumentError(`${op}: fn is asynchronous, expected one that returns no Promise`);
}

/** Checks that values are integers that the engine can hold, not below `min`. */
export function checkSizes(op: string, values: Readonly<Record<string, number | undefined>>, min: 0 | 1): void {
  for (const [name, value] of Object.entries(values)) {
    const isSize = (size: number) => isInt32(size) && size >= min;
    checkNumber(op, name, value as number, isSize, `an integer from ${min} to 2³¹ − 1`);
  }
}

/** Checks a choice among names, or among booleans and names. */
export function checkOneOf(op: string, name: string, value: unknown, names: readonly (string | boolean)[]): void {
  if (!names.includes(value as string)) {
    throw new ArgumentError(`${op}: ${name} is ${describeValue(value)}, expected one of ${names.join(', ')}`);
  }
}

export function checkArray(op: string, name: string, value: readonly unknown[], expected: string): void {
  if (!Array.isArray(value)) throw new ArgumentError(`${op}: ${name} is ${describeValue(value)}, expected ${expected}`);
}

/** Checks an array of integers, where a tensor is allowed too. The op checks their range. */
export function checkIntegers(op: string, name: string, values: readonly number[] | Int32Array): void {
  if (!isTyped(values, 'Int32Array')) checkArray(op, name, values, 'an array of integers or an int32 tensor');
}

/** Returns the position of `axis` (negative counts from the end) in `shape`. */
export function checkAxis(op: string, axis: number, shape: Shape): number {
  const position = Number.isInteger(axis) ? (axis < 0 ? axis + shape.length : axis) : -1;
  if (!(position >= 0 && position < shape.length)) {
    throw new ArgumentError(`${op}: axis ${describeValue(axis)} is not a dimension of ${describeShape(shape)}`);
  }
  return position;
}

/** Throws ArgumentError unless a value is an object with a method, such as a model. `expected` says what it is. */
export function checkMethod(op: string, name: string, value: unknown, method: string, expected: string): void {
  if (typeof (value as Record<string, unknown> | null | undefined)?.[method] !== 'function')
    throw new ArgumentError(`${op}: the ${name} is ${describeValue(value)}, expected ${expected}`);
}
