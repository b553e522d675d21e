// What functions check of plain values. Every message names the function, what was given and what was expected.

import { ArgumentError } from './errors.js';
import { isPromise, isSignal, isTensorLike, isTyped } from './kinds.js';
import type { Shape } from './shape.js';

/** What was given, for a message. Callers without types may give anything, even what has no text form or a long one. */
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

/** The position of `axis` (negative counts from the end) in `shape`. */
export function checkAxis(op: string, axis: number, shape: Shape): number {
  const position = Number.isInteger(axis) ? (axis < 0 ? axis + shape.length : axis) : -1;
  if (!(position >= 0 && position < shape.length)) {
    throw new ArgumentError(`${op}: axis ${describeValue(axis)} is not a dimension of ${describeShape(shape)}`);
  }
  return position;
}
