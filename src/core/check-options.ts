// Checks of options objects. A misspelt option or a value of the wrong type must not count as omitted.

import {
  describeValue,
  isCount,
  isFraction,
  isInt32,
  isNotNegative,
  isObject,
  isPositive,
  isPositiveShare,
  isSeed,
  isShare,
  isWhole,
  POSITIVE_SHARE,
  SEED,
  SHARE,
} from './check-values.js';
import { ArgumentError } from './errors.js';
import { isList, isSignal, isTensorLike } from './kinds.js';

/** The values that an option takes, and how messages describe them. */
export interface OptionRule {
  readonly accepts: (value: unknown) => boolean;
  readonly expected: string;
  /** The rule of each item of an array, so that messages name the first wrong one. */
  readonly items?: OptionRule;
}

/**
 * The kind of an option: the name of one of RULES, a list of allowed values, or a custom rule. `any` leaves the check
 * to the function.
 */
export type OptionKind = keyof typeof RULES | readonly (string | number | boolean | null)[] | OptionRule;

/** A kind of numbers. */
export const numberThat = (accepts: (value: number) => boolean, expected: string): OptionRule => ({
  accepts: (value) => typeof value === 'number' && accepts(value),
  expected,
});

const RULES = {
  any: { accepts: () => true, expected: 'anything' },
  boolean: { accepts: (value: unknown) => typeof value === 'boolean', expected: 'true or false' },
  string: { accepts: (value: unknown) => typeof value === 'string', expected: 'text' },
  function: { accepts: (value: unknown) => typeof value === 'function', expected: 'a function' },
  object: { accepts: isObject, expected: 'an object like { name: value }' },
  array: { accepts: Array.isArray, expected: 'an array' },
  /** An array of numbers or an Int32Array. */
  integers: { accepts: isList, expected: 'an array of integers' },
  tensor: { accepts: isTensorLike, expected: 'a tensor' },
  signal: { accepts: isSignal, expected: 'an AbortSignal' },
  number: numberThat(Number.isFinite, 'a number'),
  /** 1, 2, 3, … */
  count: numberThat(isCount, 'a positive integer'),
  /** 0, 1, 2, … */
  whole: numberThat(isWhole, 'an integer, 0 or more'),
  integer: numberThat(Number.isInteger, 'an integer'),
  int32: numberThat(isInt32, 'a 32-bit integer'),
  positive: numberThat(isPositive, 'a positive number'),
  notNegative: numberThat(isNotNegative, 'a number, 0 or more'),
  /** From 0 to below 1, such as dropout probabilities. */
  fraction: numberThat(isFraction, 'a number from 0 to below 1'),
  share: numberThat(isShare, SHARE),
  positiveShare: numberThat(isPositiveShare, POSITIVE_SHARE),
  seed: numberThat(isSeed, SEED),
} satisfies Record<string, OptionRule>;

/** A kind that also allows null. */
export function orNull(kind: OptionKind): OptionRule {
  const { accepts, expected } = ruleOf(kind);
  return { accepts: (value) => value === null || accepts(value), expected: `${expected}, or null` };
}

/** A kind that also accepts two of its values, one for each axis. */
export function oneOrTwo(kind: OptionKind): OptionRule {
  const { accepts, expected } = ruleOf(kind);
  return {
    accepts: (value) => accepts(value) || (Array.isArray(value) && value.length === 2 && value.every(accepts)),
    expected: `${expected}, or two of them`,
  };
}

/** A kind of arrays whose items are all of one kind. */
export function listOf(kind: OptionKind, expected: string): OptionRule {
  const items = ruleOf(kind);
  return { accepts: (value) => Array.isArray(value) && value.every(items.accepts), expected, items };
}

/** A kind that accepts the values of several kinds. */
export function anyOf(...kinds: readonly OptionKind[]): OptionRule {
  const rules = kinds.map(ruleOf);
  return {
    accepts: (value) => rules.some(({ accepts }) => accepts(value)),
    expected: rules.map(({ expected }) => expected).join(' or '),
  };
}

/**
 * Checks the options of a function: an object that contains only the names in `kinds`, each of its kind or undefined.
 * Returns the options.
 *
 *     const { causal = false, scale } = checkOptions('attention', options, { causal: 'boolean', scale: 'positive' });
 *
 * `kinds` has all options of the type, so that a new option without a kind does not compile. Without `kinds`, only the
 * object itself is checked. Throws ArgumentError, also for untyped callers that pass null or a bare value.
 */
export function checkOptions<Options extends object>(
  op: string,
  options: Options,
  kinds?: { readonly [Name in keyof Options]-?: OptionKind },
): Options {
  if (!isObject(options) || isTensorLike(options)) {
    throw new ArgumentError(
      `${op}: the options are ${describeValue(options)}, expected an object like { name: value }`,
    );
  }
  if (kinds === undefined) return options;
  const known: Readonly<Record<string, OptionKind>> = kinds;
  // Ops call this often, so the loop visits the given options instead of all possible ones.
  for (const name in options) {
    const kind = Object.hasOwn(known, name) ? known[name] : undefined;
    if (kind === undefined) {
      if (Object.hasOwn(options, name)) throw unknownOption(op, name, Object.keys(known));
      continue;
    }
    const value: unknown = options[name];
    if (value === undefined) continue;
    const rule = ruleOf(kind);
    if (!rule.accepts(value)) throw new ArgumentError(`${op}: ${mismatch(name, value, rule)}`);
  }
  return options;
}

/** Describes how a value, or the first wrong item of an array, breaks a rule. */
export function mismatch(name: string, value: unknown, { expected, items }: OptionRule): string {
  const i = items && Array.isArray(value) ? value.findIndex((item) => !items.accepts(item)) : -1;
  if (items && i >= 0) return mismatch(`${name}[${i}]`, (value as readonly unknown[])[i], items);
  return `${name} is ${describeValue(value)}, expected ${expected}`;
}

/** The rule of a kind. */
export function ruleOf(kind: OptionKind): OptionRule {
  if (typeof kind === 'string') return RULES[kind];
  if (!isChoice(kind)) return kind;
  return { accepts: (value) => kind.includes(value as string), expected: `one of ${kind.join(', ')}` };
}

const isChoice = (kind: OptionKind): kind is readonly (string | number | boolean | null)[] => Array.isArray(kind);

/** Returns `defaults`, overridden by the options of the same names. Undefined does not override. */
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

/**
 * Checks that options are an object that contains only `names`, so that a misspelt option does not count as omitted.
 * `otherNames` maps names of other libraries, reduced to their letters, to ours: `{ nhead: 'heads' }`.
 */
export function checkKnown<Options extends object>(
  op: string,
  options: Options,
  names: readonly (keyof Options & string)[],
  otherNames: Readonly<Record<string, string>> = {},
): Options {
  const known: readonly string[] = names;
  const unknown = Object.keys(checkOptions(op, options)).find((name) => !known.includes(name));
  if (unknown === undefined) return options;
  throw unknownOption(op, unknown, known, otherNames);
}

/** Throws ArgumentError if an unknown option is one of `known` in another style, such as `max_tokens` for `maxTokens`. */
export function checkStyle(op: string, unknown: string, known: readonly string[]): void {
  if (known.some((name) => lettersOf(name) === lettersOf(unknown))) throw unknownOption(op, unknown, known);
}

function unknownOption(
  op: string,
  unknown: string,
  known: readonly string[],
  otherNames: Readonly<Record<string, string>> = {},
): ArgumentError {
  const letters = lettersOf(unknown);
  const meant = known.find((name) => lettersOf(name) === letters) ?? new Map(Object.entries(otherNames)).get(letters);
  return new ArgumentError(
    `${op}: there is no option ${unknown}${meant === undefined ? `, only ${known.join(', ')}` : `: it is ${meant} here`}`,
  );
}

/** Reduces a name in any style to its letters: d_model and dModel both become dmodel. */
function lettersOf(name: string): string {
  return name.replace(/[_-]/g, '').toLowerCase();
}
