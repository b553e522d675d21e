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
  const refuse = (problem: string): never => {
    throw new ResponseFormatError(`${name} ${problem}`);
  };
  const open: [value: unknown, depth: number][] = [[value, 0]];
  let [values, characters] = [0, 0];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const [each, depth] = next;
    if (++values > MAX_VALUES) refuse(`has more than ${MAX_VALUES} values`);
    if (depth > MAX_DEPTH) refuse(`is nested more than ${MAX_DEPTH} levels deep`);
    if (typeof each === 'string') characters += each.length;
    else if (Array.isArray(each)) {
      if (each.length > MAX_VALUES) refuse(`has more than ${MAX_VALUES} values`);
      for (const inner of each) open.push([inner, depth + 1]);
    } else if (isObject(each)) {
      for (const key in each) {
        if (!Object.hasOwn(each, key) || each[key] === undefined) continue;
        characters += key.length;
        open.push([each[key], depth + 1]);
        if (open.length > MAX_VALUES) refuse(`has more than ${MAX_VALUES} values`);
      }
    } else if (each !== null && typeof each !== 'boolean' && typeof each !== 'number')
      refuse(`has ${describeValue(each)} in it, expected JSON`);
    if (characters > MAX_CHARACTERS) refuse(`has more than ${MAX_CHARACTERS} characters of text`);
  }
  return JSON.parse(JSON.stringify(value));
}
