// JSON's strings and numbers as expressions.

import {
  choice,
  difference,
  type Expression,
  intersection,
  mapLeaves,
  optional,
  type Ranges,
  repeat,
  sequence,
  set,
  text,
} from './expression.js';

/** The characters that need no escape in a JSON string. */
const PLAIN: Ranges = [
  [0x20, 0x21],
  [0x23, 0x5b],
  [0x5d, 0x10ffff],
];
const HEX = set([0x30, 0x39], [0x41, 0x46], [0x61, 0x66]);
/** Escaped characters, without halves of surrogate pairs. */
const ESCAPED = choice(
  sequence(
    text('\\'),
    set(...[...'"\\/bfnrt'].map((character) => [character.charCodeAt(0), character.charCodeAt(0)] as const)),
  ),
  sequence(text('\\u'), set([0x30, 0x39], [0x41, 0x43], [0x45, 0x46], [0x61, 0x63], [0x65, 0x66]), HEX, HEX, HEX),
  sequence(text('\\u'), set([0x44, 0x44], [0x64, 0x64]), set([0x30, 0x37]), HEX, HEX),
);

export const quoted = (inner: Expression): Expression => sequence(text('"'), inner, text('"'));

/** A string of `min` to `max` code points. An escaped character counts once. */
export function jsonString(min = 0, max = Number.POSITIVE_INFINITY): Expression {
  return quoted(repeat(choice(set(...PLAIN), ESCAPED), min, max));
}

/** A string whose value an expression allows. */
export function jsonStringOf(expression: Expression): Expression {
  return quoted(escaped(expression));
}

/** The JSON form of the values that an expression allows, without quotes. Rules must have that form already. */
export function escaped(expression: Expression): Expression {
  return mapLeaves(expression, (leaf) => {
    if (leaf.kind === 'text') return text(JSON.stringify(leaf.text).slice(1, -1));
    return leaf.kind === 'set' ? escapedSet(leaf.ranges) : leaf;
  });
}

const sets = new WeakMap<Ranges, Expression>();

function escapedSet(ranges: Ranges): Expression {
  const known = sets.get(ranges);
  if (known) return known;
  const escapes = difference(intersection(ranges, [[0, 0x7f]]), PLAIN).flatMap(([first, last]) =>
    Array.from({ length: last - first + 1 }, (_, i) =>
      text(JSON.stringify(String.fromCharCode(first + i)).slice(1, -1)),
    ),
  );
  const found = choice(set(...intersection(ranges, PLAIN)), ...escapes);
  sets.set(ranges, found);
  return found;
}

/** The number of decimal digits that a double always holds. */
const EXACT = 15;
const DIGIT = set([0x30, 0x39]);
const NATURAL = choice(text('0'), sequence(set([0x31, 0x39]), repeat(DIGIT, 0, EXACT - 1)));

/** Any integer of up to 15 digits. */
export const jsonInteger: Expression = sequence(optional(text('-')), NATURAL);

/** Any number whose digits and exponent fit into a double. */
export const jsonNumber: Expression = sequence(
  jsonInteger,
  optional(sequence(text('.'), repeat(DIGIT, 1, EXACT))),
  optional(sequence(set([0x45, 0x45], [0x65, 0x65]), optional(set([0x2b, 0x2b], [0x2d, 0x2d])), repeat(DIGIT, 1, 2))),
);

/** The numbers from `min` to `max`. */
export interface Bounds {
  readonly min: number;
  readonly max: number;
  /** True if `min`, or `max`, is excluded. */
  readonly isAbove: boolean;
  readonly isBelow: boolean;
}

const MAX_INTEGER = 10 ** EXACT - 1;

/** The integers within bounds, or null if there is none. */
export function integersWithin({ min, max, isAbove, isBelow }: Bounds): Expression | null {
  const first = Math.max(-MAX_INTEGER, Math.ceil(min) + (isAbove && Number.isInteger(min) ? 1 : 0));
  const last = Math.min(MAX_INTEGER, Math.floor(max) - (isBelow && Number.isInteger(max) ? 1 : 0));
  if (first > last) return null;
  const options: Expression[] = [];
  if (first < 0) options.push(sequence(text('-'), naturals(Math.max(1, -Math.min(last, -1)), -first)));
  if (last >= 0) options.push(naturals(Math.max(0, first), last));
  return choice(...options);
}

/** Decimals that are tried for numbers between bounds without an integer. */
const MAX_DECIMALS = 12;
/** Digits before and after the point, together few enough that no such number is rounded to an integer. */
const WHOLE_DIGITS = 8;
const FRACTION_DIGITS = EXACT - WHOLE_DIGITS;

/**
 * Numbers within bounds: all integers, and numbers with decimals whose two neighbouring integers are within the bounds.
 * If there is no integer, the numbers with the fewest decimals. Null if there is no number.
 */
export function numbersWithin(bounds: Bounds): Expression | null {
  const whole = integersWithin(bounds);
  if (whole === null) return decimalsWithin(bounds);
  const { min, max } = bounds;
  const greatest = 10 ** WHOLE_DIGITS - 1;
  const upwards = integersWithin({
    min: Math.max(0, Math.ceil(min)),
    max: Math.min(greatest, Math.floor(max) - 1),
    isAbove: bounds.isAbove && min >= 0,
    isBelow: false,
  });
  const downwards = integersWithin({
    min: Math.max(-greatest, Math.ceil(min) + 1),
    max: Math.min(-1, Math.floor(max)),
    isAbove: false,
    isBelow: bounds.isBelow && max <= -1,
  });
  const decimals = sequence(text('.'), repeat(DIGIT, 1, FRACTION_DIGITS));
  const options = [whole];
  for (const part of [upwards, downwards]) if (part !== null) options.push(sequence(part, decimals));
  return choice(...options);
}

function decimalsWithin({ min, max, ...open }: Bounds): Expression | null {
  for (let count = 1; count <= MAX_DECIMALS; count++) {
    const scale = 10 ** count;
    const [first, last] = [Math.ceil(min * scale), Math.floor(max * scale)];
    for (let value = first; value <= Math.min(last, first + 2); value++) {
      const number = value / scale;
      const isIn = (open.isAbove ? number > min : number >= min) && (open.isBelow ? number < max : number <= max);
      if (isIn) return text(JSON.stringify(number));
    }
  }
  return null;
}

/** The decimal forms of the integers from `first` to `last`, both 0 or more. */
function naturals(first: number, last: number): Expression {
  const options: Expression[] = [];
  for (let length = String(first).length; length <= String(last).length; length++) {
    const low = Math.max(first, length === 1 ? 0 : 10 ** (length - 1));
    const high = Math.min(last, 10 ** length - 1);
    options.push(digits(String(low), String(high)));
  }
  return choice(...options);
}

/** Numerals from `low` to `high`, which have the same number of digits. */
function digits(low: string, high: string): Expression {
  if (low === high) return text(low);
  const [a, b] = [low.charCodeAt(0), high.charCodeAt(0)];
  const [lowRest, highRest] = [low.slice(1), high.slice(1)];
  const count = lowRest.length;
  if (a === b) return sequence(text(low[0] as string), digits(lowRest, highRest));
  if (count === 0) return set([a, b]);
  const options: Expression[] = [];
  const [isWholeLow, isWholeHigh] = [/^0*$/.test(lowRest), /^9*$/.test(highRest)];
  if (!isWholeLow) options.push(sequence(text(low[0] as string), digits(lowRest, '9'.repeat(count))));
  const [from, to] = [isWholeLow ? a : a + 1, isWholeHigh ? b : b - 1];
  if (from <= to) options.push(sequence(set([from, to]), repeat(DIGIT, count, count)));
  if (!isWholeHigh) options.push(sequence(text(high[0] as string), digits('0'.repeat(count), highRest)));
  return choice(...options);
}
