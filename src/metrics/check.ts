// Checks of the values that metrics compare.

import { anyOf, listOf, mismatch, type OptionRule } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';

const isNumber = (value: unknown) => typeof value === 'number';
const isNumbers = (value: unknown) => {
  if (ArrayBuffer.isView(value)) return 'length' in value;
  return Array.isArray(value) && value.every(isNumber);
};

/** Kinds of arguments. NaN is a number. */
export const NUMBERS: OptionRule = {
  accepts: isNumbers,
  expected: 'an array of numbers',
  items: { accepts: isNumber, expected: 'a number' },
};
export const LABELS = listOf(anyOf('string', { accepts: isNumber, expected: 'a number' }), 'an array of labels');
export const TEXTS = listOf('string', 'an array of texts');
/** One text, or several, for each output. */
export const REFERENCES = listOf(
  {
    accepts: (value) => typeof value === 'string' || (TEXTS.accepts(value) && (value as string[]).length > 0),
    expected: 'a text or an array of texts',
  },
  'an array with a text, or an array of texts, for each output',
);

/**
 * Throws ArgumentError unless two arguments, by name, are of the kind `rule` and equally long, and not empty. The
 * second one may have a kind of its own.
 */
export function checkPaired(
  op: string,
  sides: Readonly<Record<string, ArrayLike<unknown>>>,
  rule: OptionRule,
  ofSecond = rule,
): void {
  const [first, second] = Object.entries(sides) as [[string, ArrayLike<unknown>], [string, ArrayLike<unknown>]];
  checkArgument(op, ...first, rule);
  checkArgument(op, ...second, ofSecond);
  const [count, counted] = [first[1].length, second[1].length];
  if (count === counted && count > 0) return;
  throw new ArgumentError(
    `${op}: there are ${count} ${first[0]} for ${counted} ${second[0]}, expected equal numbers, 1 or more`,
  );
}

/** Throws ArgumentError for an argument of another kind. */
export function checkArgument(op: string, name: string, value: unknown, rule: OptionRule): void {
  if (!rule.accepts(value)) throw new ArgumentError(`${op}: ${mismatch(name, value, rule)}`);
}
