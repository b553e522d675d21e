// Set up for every file of tests.
import { afterAll, expect } from 'vitest';
import { disposeSharedDevices } from './shared-devices.js';

afterAll(disposeSharedDevices);

// Vitest compares typed arrays by their keys, which takes a hundred times as long.

type Numbers = ArrayBufferView & ArrayLike<number>;
const isNumbers = (value: unknown): value is Numbers => ArrayBuffer.isView(value) && !(value instanceof DataView);

/**
 * True if two typed arrays of one type have the same values; undefined for other values, which Vitest compares itself.
 */
function areSame(a: unknown, b: unknown): boolean | undefined {
  if (!isNumbers(a) || !isNumbers(b) || a.constructor !== b.constructor) return undefined;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (!Object.is(a[i], b[i])) return false;
  return true;
}

expect.addEqualityTesters([areSame]);
