// What functions check of their options objects: what is misspelt or of another type must not count as left out.

import {
  describeValue,
  isCount,
  isFraction,
  isNotNegative,
  isObject,
  isPositive,
  isSeed,
  isWhole,
  SEED,
} from './check-values.js';
import { ArgumentError } from './errors.js';
import { isList, isSignal, isTensorLike } from './kinds.js';

/** What values an option takes, and what messages say of them. */
export interface OptionRule {
  readonly accepts: (value: unknown) => boolean;
  readonly expected: string;
}

/**
 * What an option may be: one of RULES by its name, one of a list of values, or a rule of the function's own. `any` leaves
 * the check to the function.
 */
export type OptionKind = keyof typeof RULES | readonly (string | number | boolean | null)[] | OptionRule;

const numberThat = (accepts: (value: number) => boolean, expected: string): OptionRule => ({
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
  positive: numberThat(isPositive, 'a positive number'),
  notNegative: numberThat(isNotNegative, 'a number, 0 or more'),
  /** From 0 to below 1, as probabilities of dropout are. */
  fraction: numberThat(isFraction, 'a number from 0 to below 1'),
  seed: numberThat(isSeed, SEED),
} satisfies Record<string, OptionRule>;

/** The same kind, or null. */
export function orNull(kind: OptionKind): OptionRule {
  const { accepts, expected } = ruleOf(kind);
  return { accepts: (value) => value === null || accepts(value), expected: `${expected}, or null` };
}

/**
 * Options of a function, once they are an object with nothing in it but what `kinds` names, each of its kind or
 * undefined:
 *
 *     const { causal = false, scale } = checkOptions('attention', options, { causal: 'boolean', scale: 'positive' });
 *
 * `kinds` names all options of the type, so that a new one does not compile until it says what it may be. Without
 * `kinds`, only that it is an object is checked. Throws ArgumentError, also for callers without types who give null or a
 * value without its name.
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
  // Ops come by here at each call: what is given is looked at, not all that might be.
  for (const name in options) {
    const kind = Object.hasOwn(known, name) ? known[name] : undefined;
    if (kind === undefined) {
      if (Object.hasOwn(options, name)) throw unknownOption(op, name, Object.keys(known));
      continue;
    }
    const value: unknown = options[name];
    if (value === undefined) continue;
    const { accepts, expected } = ruleOf(kind);
    if (!accepts(value)) throw new ArgumentError(`${op}: ${name} is ${describeValue(value)}, expected ${expected}`);
  }
  return options;
}

/** The rule of a kind. */
export function ruleOf(kind: OptionKind): OptionRule {
  if (typeof kind === 'string') return RULES[kind];
  if (!isChoice(kind)) return kind;
  return { accepts: (value) => kind.includes(value as string), expected: `one of ${kind.join(', ')}` };
}

const isChoice = (kind: OptionKind): kind is readonly (string | number | boolean | null)[] => Array.isArray(kind);

/** `defaults`, or what the options of these names say instead. Undefined says nothing. */
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
 * Options, once they are an object with nothing in it but `names`: what is misspelt must not count as left out.
 * `otherNames` says what other libraries' names, by their letters, are called here: `{ nhead: 'heads' }`.
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

/** What stays of a name in any style: d_model and dModel are both dmodel. */
function lettersOf(name: string): string {
  return name.replace(/[_-]/g, '').toLowerCase();
}
