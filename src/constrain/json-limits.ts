// Limits of schemas, which are checked before any other work.

import { describeValue, isObject } from '../core/check.js';
import { ResponseFormatError } from './format-error.js';

/** Levels of nested arrays and objects. */
const MAX_DEPTH = 128;
/** Values, including arrays and objects. */
const MAX_VALUES = 20_000;
/** Characters of all names and strings together. */
const MAX_CHARACTERS = 2 ** 20;

/**
 * A copy of `value` as plain JSON. Throws ResponseFormatError, which names it as `name`, for values that are nested too
 * deep, too large, or not JSON. The check neither recurses nor looks further than the limits.
 */
export function jsonCopy(name: string, value: unknown): unknown {
  const problem = problemOf(value);
  if (problem !== null) throw new ResponseFormatError(`${name} ${problem}`);
  return JSON.parse(JSON.stringify(value));
}

/** Describes how a value exceeds the limits or is not JSON; null if it is in order. */
function problemOf(value: unknown): string | null {
  const tooMany = `has more than ${MAX_VALUES} values`;
  const open: [value: unknown, depth: number][] = [[value, 0]];
  let [values, characters] = [0, 0];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const [item, depth] = next;
    if (++values > MAX_VALUES) return tooMany;
    if (depth > MAX_DEPTH) return `is nested more than ${MAX_DEPTH} levels deep`;
    if (!isJson(item)) return `has ${describeValue(item)} in it, expected JSON`;
    if (typeof item === 'string') characters += item.length;
    for (const [key, inner] of childrenOf(item)) {
      characters += key.length;
      open.push([inner, depth + 1]);
      if (open.length > MAX_VALUES) return tooMany;
    }
    if (characters > MAX_CHARACTERS) return `has more than ${MAX_CHARACTERS} characters of text`;
  }
  return null;
}

/** True for a value that JSON can express, whatever is inside it. */
function isJson(value: unknown): boolean {
  return (
    value === null || ['string', 'boolean', 'number'].includes(typeof value) || Array.isArray(value) || isObject(value)
  );
}

/** The values in an array, whose keys are empty, or the members of an object. Reads one after the other. */
function* childrenOf(value: unknown): Generator<readonly [key: string, value: unknown]> {
  if (Array.isArray(value)) for (const inner of value) yield ['', inner];
  else if (isObject(value))
    for (const key in value) if (Object.hasOwn(value, key) && value[key] !== undefined) yield [key, value[key]];
}
