import { isTyped } from './kinds.js';

/** Copies arrays and plain objects, so that later changes by the caller have no effect. */
export function copied<T>(value: T): T;
export function copied(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(copied);
  if (isTyped(value, 'Int32Array')) return value.slice();
  if (value?.constructor !== Object) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, copied(inner)]));
}
