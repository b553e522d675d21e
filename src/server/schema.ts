// Schemas of requests. zod checks requests by them, and the OpenAPI document contains their JSON Schemas. The message
// of each schema is the expected value.

import * as z from 'zod/mini'; // bundlers remove its unused parts, unlike zod's
import { isObject } from '../core/check.js';
import { ApiError } from './errors.js';

export type JsonSchema = Readonly<Record<string, unknown>>;
export type Schema<T = unknown> = z.ZodMiniType<T>;
export type Read<S extends Schema> = z.output<S>;

/** Additions to the JSON Schemas that zod makes. */
const additions = z.registry<JsonSchema>();

/** Adds fields to the JSON Schema of a schema, except for undefined ones. */
export function withJson<S extends Schema>(schema: S, fields: JsonSchema): S {
  additions.add(schema, Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)));
  return schema;
}

/** The JSON Schema of the requests that a schema accepts. */
export function jsonOf(schema: Schema): JsonSchema {
  const { $schema: _, ...json } = z.toJSONSchema(schema, {
    io: 'input',
    metadata: additions,
    unrepresentable: 'any', // `withJson` describes these
  });
  return json;
}

/** Checks a value. Throws ApiError 400, which names the field. */
export function read<S extends Schema>(schema: S, value: unknown): Read<S> {
  const { data, error } = schema.safeParse(value);
  if (error === undefined) return data as Read<S>;
  throw refusal(innermost(error.issues), value);
}

type Issue = z.core.$ZodIssue;
type Path = readonly PropertyKey[];

/** The first problem. In a union it is a problem inside a kind of values, if there is one. */
function innermost(issues: readonly Issue[], outer: Path = []): { issue: Issue; path: Path } {
  const issue = issues.find(({ code }) => code === 'unrecognized_keys') ?? (issues[0] as Issue);
  const path = [...outer, ...issue.path];
  for (const kind of issue.code === 'invalid_union' ? issue.errors : []) {
    const inner = innermost(kind, path);
    if (inner.path.length > path.length || inner.issue.code === 'unrecognized_keys') return inner;
  }
  return { issue, path };
}

function refusal({ issue, path }: ReturnType<typeof innermost>, value: unknown): ApiError {
  const param = nameOfPath(path);
  if (issue.code === 'unrecognized_keys') {
    const name = nameOfPath([...path, issue.keys[0] as string]);
    return new ApiError(400, `Unrecognized request argument supplied: ${name}`, 'unknown_parameter', name);
  }
  if (issue.code === 'custom' && issue.params !== undefined) {
    const { describe, code } = issue.params as Refused;
    return new ApiError(400, describe(param), code, param);
  }
  const found = path.reduce<unknown>((inside, key) => Object(inside)[key], value);
  if (path.length === 0)
    return new ApiError(400, `The body is ${describeValue(found)}, expected ${issue.message}`, 'invalid_value');
  return found === undefined
    ? new ApiError(400, `'${param}' is missing, expected ${issue.message}`, 'missing_required_parameter', param)
    : new ApiError(400, `'${param}' is ${describeValue(found)}, expected ${issue.message}`, 'invalid_value', param);
}

/** The name of a field, such as `messages[0].content`. */
const nameOfPath = (path: Path) =>
  path.map((key, i) => (typeof key === 'number' ? `[${key}]` : `${i > 0 ? '.' : ''}${String(key)}`)).join('');

function describeValue(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}

interface StringRules {
  /** Limits of the length, in code points. */
  readonly minLength?: number;
  readonly maxLength?: number;
  /** A pattern for ASCII characters. */
  readonly pattern?: string;
  readonly description?: string;
}

/** Text. Lone surrogates become U+FFFD, as in UTF-8. */
export function string(rules: StringRules = {}): Schema<string> {
  const { minLength = 0, maxLength = Number.POSITIVE_INFINITY, pattern } = rules;
  const regex = pattern === undefined ? null : new RegExp(pattern);
  const limits = [
    minLength > 0 ? `at least ${minLength}` : '',
    maxLength < Number.POSITIVE_INFINITY ? `at most ${maxLength}` : '',
  ].filter(Boolean);
  const unit = limits.length === 1 && minLength === 1 ? 'character' : 'characters';
  const kind = limits.length > 0 ? `text of ${limits.join(', ')} ${unit}` : 'text';
  const expected = regex ? `${kind} that matches ${pattern}` : kind;
  const fits = (text: string) => {
    if (regex?.test(text) === false) return false;
    // A character has one or two code units. Characters are only counted if that decides.
    const { length } = text;
    if (length < minLength || length > 2 * maxLength) return false;
    if (length >= 2 * minLength && length <= maxLength) return true;
    const characters = [...text].length;
    return characters >= minLength && characters <= maxLength;
  };
  const wellFormed = z.overwrite<string>((text) => text.replace(/[\ud800-\udfff]/gu, '\ufffd'));
  return withJson(z.string(expected).check(wellFormed, z.refine(fits, expected)), { ...rules });
}

/** One of some values. */
export function oneOf<const T extends string | boolean>(values: readonly T[]) {
  return z.literal(values as T[], values.length === 1 ? String(values[0]) : `one of ${values.join(', ')}`);
}

interface NumberRules {
  readonly min: number;
  readonly max: number;
  /** True if the minimum is excluded. */
  readonly above?: boolean;
  readonly description?: string;
}

export function number({ min, max, above = false, description }: NumberRules): Schema<number> {
  const expected = `a number ${above ? 'above' : 'from'} ${min}${above ? ', at most' : ' to'} ${max}`;
  const lower = above ? z.gt(min) : z.gte(min);
  return withJson(z.number({ error: () => expected }).check(lower, z.lte(max)), { description });
}

export function integer({ min, max, description }: NumberRules): Schema<number> {
  const expected = min === max ? `${min}` : `an integer from ${min} to ${max}`;
  return withJson(z.int({ error: () => expected }).check(z.gte(min), z.lte(max)), { description });
}

export const boolean = (description?: string) => withJson(z.boolean('true or false'), { description });

/** A list of `min` to `max` values. */
export function array<T>(of: Schema<T>, { min = 0, max }: { min?: number; max: number }): Schema<T[]> {
  const fits = (value: unknown) => Array.isArray(value) && value.length >= min && value.length <= max;
  const list = withJson(z.array(of), { minItems: min || undefined, maxItems: max });
  return checkedBefore(list, fits, `an array of ${min > 0 ? `${min} to ${max}` : `at most ${max}`} elements`);
}

/** An array of two values. */
export function pair<A, B>(first: Schema<A>, second: Schema<B>): Schema<[A, B]> {
  return z.tuple([first, second], 'an array of two elements');
}

/** Checks a value as a whole before its parts, so that a large request of wrong parts costs little. */
function checkedBefore<T>(schema: Schema<T>, fits: (value: unknown) => boolean, expected: string): Schema<T> {
  const whole = z.custom<unknown>(fits, expected);
  return withJson(z.pipe(whole, schema as Schema) as unknown as Schema<T>, jsonOf(schema));
}

/** A value that may be left out or null. */
export function optional<T>(of: Schema<T>): Schema<T | undefined> {
  return z.pipe(
    z.nullish(of),
    z.transform((value) => value ?? undefined),
  ) as unknown as Schema<T | undefined>;
}

/** The parameters of an issue that has a message and a code of its own. */
interface Refused {
  readonly describe: (param: string) => string;
  readonly code: string | null;
}

/** A field of OpenAI's that is not supported. `instead` says what to do. */
export function refusedField(instead: string): Schema<undefined> {
  const params: Refused = {
    describe: (param) => `'${param}' is not supported: ${instead}`,
    code: 'unsupported_parameter',
  };
  const nothing = withJson(
    z.custom<undefined>(() => false, { params }),
    { not: {} },
  );
  return withJson(optional(nothing), { description: `Not supported: ${instead}` });
}

/** A value of one of several kinds. `expected` describes all of them together. */
export function anyOf<const Kinds extends readonly Schema[]>(
  expected: string,
  ...kinds: Kinds
): Schema<Read<Kinds[number]>> {
  return z.union(kinds, expected) as Schema<Read<Kinds[number]>>;
}

/** An object with these fields and no others: a misspelt field must not count as left out. */
export function object<Fields extends z.core.$ZodLooseShape>(fields: Fields) {
  return z.strictObject(fields, 'an object');
}

/** An object of one of several kinds, each with another text in the field `key`. */
export function tagged<Kinds extends readonly [z.core.$ZodTypeDiscriminable, ...z.core.$ZodTypeDiscriminable[]]>(
  key: string,
  ...kinds: Kinds
): Schema<z.output<Kinds[number]>> {
  const tags = kinds.flatMap(({ _zod }) => [...(_zod.propValues?.[key] ?? [])]);
  const names = tags.length === 1 ? String(tags[0]) : `one of ${tags.join(', ')}`;
  const error = ({ code }: { code?: string }) => (code === 'invalid_union' ? names : `an object with '${key}'`);
  return z.discriminatedUnion(key, kinds, { error });
}

/** Refuses objects that have the field `name` without `flag: true`, as OpenAI does. */
export function onlyWith<T extends object>(of: Schema<T>, name: keyof T & string, flag: keyof T & string): Schema<T> {
  const params: Refused = {
    describe: (param) => `The '${param}' parameter is only allowed when '${flag}' is enabled.`,
    code: null,
  };
  const fits = (value: T) => value[name] === undefined || value[flag] === true;
  const isLeftOut = { properties: { [name]: { type: 'null' } } };
  const isOn = { required: [flag], properties: { [flag]: { const: true } } };
  const { allOf = [] } = (additions.get(of) ?? {}) as { allOf?: readonly unknown[] };
  return withJson(of.check(z.refine(fits, { path: [name], params })), {
    allOf: [...allOf, { anyOf: [isLeftOut, isOn] }],
  });
}

/** Refuses objects that have neither of two fields. The error names `first`. */
export function withOneOf<T extends object>(
  of: Schema<T>,
  first: keyof T & string,
  second: keyof T & string,
): Schema<T> {
  const params: Refused = {
    describe: (param) => `'${param}' is missing, expected text`,
    code: 'missing_required_parameter',
  };
  const fits = (value: T) => value[first] !== undefined || value[second] !== undefined;
  const has = (name: string) => ({ required: [name], properties: { [name]: { not: { type: 'null' } } } });
  return withJson(of.check(z.refine(fits, { path: [first], params })), { anyOf: [has(first), has(second)] });
}

interface RecordRules {
  readonly max: number;
  /** A pattern of the names. */
  readonly pattern?: string;
  readonly description?: string;
}

/** An object with any names, or with names that match `pattern`. */
export function record<T>(of: Schema<T>, { max, pattern, description }: RecordRules): Schema<Record<string, T>> {
  const regex = new RegExp(pattern ?? '');
  const fits = (value: unknown) => {
    const names = isObject(value) ? Object.keys(value) : null;
    return names !== null && names.length <= max && names.every((name) => regex.test(name));
  };
  const expected = `an object of at most ${max} fields${pattern === undefined ? '' : ` with names like ${pattern}`}`;
  const propertyNames = pattern === undefined ? undefined : { pattern };
  return checkedBefore(
    withJson(z.record(z.string(), of), { maxProperties: max, propertyNames, description }),
    fits,
    expected,
  );
}

/** The name of a model. The OpenAPI document lists the known ones. */
export const nameOf = (known: readonly string[]): Schema<string> =>
  withJson(string(), known.length > 0 ? { enum: known } : {});

/** Any object, such as a JSON Schema. */
export const anyObject = withJson(z.custom<Readonly<Record<string, unknown>>>(isObject, 'an object'), {
  type: 'object',
});
