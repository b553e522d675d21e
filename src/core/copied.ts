import { ArgumentError } from './errors.js';
import { isTyped } from './kinds.js';

/** Levels of nested arrays and objects. More could exceed the stack. */
const MAX_DEPTH = 500;

/**
 * Copies arrays and plain objects, so that later changes by the caller have no effect. Throws ArgumentError if they are
 * nested more than 500 levels deep.
 */
export function copied<T>(value: T): T {
  return copyOf(value, 0) as T;
}

function copyOf(value: unknown, depth: number): unknown {
  if (depth > MAX_DEPTH)
    throw new ArgumentError(`an argument is nested more than ${MAX_DEPTH} levels deep, expected fewer`);
  if (Array.isArray(value)) return value.map((inner) => copyOf(inner, depth + 1));
  if (isTyped(value, 'Int32Array')) return value.slice();
  if (value?.constructor !== Object) return value;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, copyOf(inner, depth + 1)]));
}
