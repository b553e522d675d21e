// Descriptions of requests: requests are checked by them, and the OpenAPI document contains their JSON Schemas.

import { ApiError } from './errors.js';

export type JsonSchema = Readonly<Record<string, unknown>>;

/** A description of values. */
export interface Schema<T> {
  readonly json: JsonSchema;
  /** The value, or undefined if it does not fit. Throws ApiError for problems inside of the value. */
  read(value: unknown, param: string): T | undefined;
  /** The description in messages: expected … */
  readonly name: string;
  readonly isOptional?: boolean;
}

export type Read<S> = S extends Schema<infer T> ? T : never;

/** Checks a value. Throws ApiError 400, which names the field. */
export function read<T>(schema: Schema<T>, value: unknown, param: string): T {
  const found = schema.read(value, param);
  if (found !== undefined || schema.isOptional) return found as T;
  const problem = value === undefined ? 'is missing' : `is ${shown(value)}`;
  throw new ApiError(
    400,
    `'${param}' ${problem}, expected ${schema.name}`,
    value === undefined ? 'missing_required_parameter' : 'invalid_value',
    param,
  );
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}

interface StringRules {
  readonly minLength?: number;
  readonly maxLength?: number;
  /** A pattern for ASCII characters. */
  readonly pattern?: string;
  readonly description?: string;
}

/** Text. Lone surrogates become U+FFFD, as in UTF-8. */
export function string({ minLength = 0, maxLength, pattern, description }: StringRules = {}): Schema<string> {
  const json = clean({ type: 'string', minLength: minLength || undefined, maxLength, pattern, description });
  const regex = pattern === undefined ? null : new RegExp(pattern);
  const limits = [minLength > 0 ? `at least ${minLength}` : '', maxLength ? `at most ${maxLength}` : ''].filter(
    Boolean,
  );
  return {
    json,
    name: `${limits.length > 0 ? `text of ${limits.join(', ')} characters` : 'text'}${regex ? ` that matches ${pattern}` : ''}`,
    read: (value) => {
      if (typeof value !== 'string') return undefined;
      const text = value.replace(/[\ud800-\udfff]/gu, '\ufffd');
      if (regex && !regex.test(text)) return undefined;
      if (minLength === 0 && maxLength === undefined) return text;
      const length = text.length > 2 * (maxLength ?? text.length) ? text.length : [...text].length; // code points
      return length >= minLength && length <= (maxLength ?? length) ? text : undefined;
    },
  };
}

export function oneOf<const T extends string | boolean>(values: readonly T[]): Schema<T> {
  const name = values.length === 1 ? String(values[0]) : `one of ${values.join(', ')}`;
  return { json: { enum: values }, name, read: (value) => values.find((each) => each === value) };
}

interface NumberRules {
  readonly min: number;
  readonly max: number;
  /** True if the minimum is excluded. */
  readonly above?: boolean;
  readonly description?: string;
}

export function number({ min, max, above = false, description }: NumberRules): Schema<number> {
  return {
    json: clean({ type: 'number', [above ? 'exclusiveMinimum' : 'minimum']: min, maximum: max, description }),
    name: `a number ${above ? 'above' : 'from'} ${min}${above ? ', at most' : ' to'} ${max}`,
    read: (value) =>
      typeof value === 'number' && value <= max && (above ? value > min : value >= min) ? value : undefined,
  };
}

export function integer({ min, max, description }: NumberRules): Schema<number> {
  return {
    json: clean({ type: 'integer', minimum: min, maximum: max, description }),
    name: `an integer from ${min} to ${max}`,
    read: (value) =>
      Number.isInteger(value) && (value as number) >= min && (value as number) <= max ? (value as number) : undefined,
  };
}

export const boolean: Schema<boolean> = {
  json: { type: 'boolean' },
  name: 'true or false',
  read: (value) => (typeof value === 'boolean' ? value : undefined),
};

export function array<T>(of: Schema<T>, { min = 0, max }: { min?: number; max: number }): Schema<T[]> {
  const many = min > 0 ? `${min} to ${max}` : `at most ${max}`;
  return {
    json: clean({ type: 'array', items: of.json, minItems: min || undefined, maxItems: max }),
    name: `an array of ${many} of ${of.name}`,
    read: (value, param) => {
      if (!Array.isArray(value) || value.length < min || value.length > max) return undefined;
      return value.map((each, i) => read(of, each, `${param}[${i}]`));
    },
  };
}

/** A value that may be left out or null. */
export function optional<T>(of: Schema<T>): Schema<T | undefined> {
  const { type } = of.json;
  const { description, ...rest } = of.json;
  const json =
    typeof type === 'string' && rest.enum === undefined
      ? { ...of.json, type: [type, 'null'] }
      : clean({ anyOf: [rest, { type: 'null' }], description });
  return {
    json,
    name: of.name,
    isOptional: true,
    read: (value, param) => (value === undefined || value === null ? undefined : read(of, value, param)),
  };
}

/** A field of OpenAI's that is not supported. `instead` says what to do. */
export function refusedField(instead: string): Schema<undefined> {
  return {
    json: { type: 'null', description: `Not supported: ${instead}` },
    name: 'null',
    isOptional: true,
    read: (value, param) => {
      if (value === undefined || value === null) return undefined;
      throw new ApiError(400, `'${param}' is not supported: ${instead}`, 'unsupported_parameter', param);
    },
  };
}

/** A value that fits one of several descriptions. `name` describes all of them together. */
export function anyOf<T>(
  name: string,
  ...kinds: { [I in keyof T]: Schema<T[I]> } & readonly Schema<unknown>[]
): Schema<T[keyof T & number]> {
  return {
    json: { anyOf: kinds.map(({ json }) => json) },
    name,
    read: (value, param) => {
      let problem: unknown;
      for (const kind of kinds) {
        try {
          const found = kind.read(value, param);
          if (found !== undefined) return found as T[keyof T & number];
        } catch (error) {
          problem ??= error;
        }
      }
      if (problem !== undefined) throw problem;
      return undefined;
    },
  };
}

/** An object whose member `key` decides which description it must fit. */
export function tagged<Kinds extends Readonly<Record<string, Schema<unknown>>>>(
  key: string,
  kinds: Kinds,
): Schema<Read<Kinds[keyof Kinds]>> {
  const names = Object.keys(kinds);
  return {
    json: { oneOf: Object.values(kinds).map(({ json }) => json) },
    name: `an object whose ${key} is one of ${names.join(', ')}`,
    read: (value, param) => {
      const tag = isRecord(value) ? value[key] : undefined;
      const kind = typeof tag === 'string' && Object.hasOwn(kinds, tag) ? kinds[tag] : undefined;
      if (kind) return read(kind, value, param) as Read<Kinds[keyof Kinds]>;
      if (!isRecord(value)) return undefined;
      read(oneOf(names), tag, `${param}.${key}`);
      return undefined;
    },
  };
}

type Fields = Readonly<Record<string, Schema<unknown>>>;
type ReadFields<F extends Fields> = { readonly [Name in keyof F]: Read<F[Name]> };

/** An object with these fields and no others: a misspelt field must not count as left out. */
export function object<F extends Fields>(fields: F, description?: string): Schema<ReadFields<F>> {
  const required = Object.keys(fields).filter((name) => !fields[name]?.isOptional);
  const properties = Object.fromEntries(Object.entries(fields).map(([name, { json }]) => [name, json]));
  return {
    json: clean({
      type: 'object',
      properties,
      required: required.length > 0 ? required : undefined,
      additionalProperties: false,
      description,
    }),
    name: 'an object',
    read: (value, param) => {
      if (!isRecord(value)) return undefined;
      const within = (name: string) => (param === '' ? name : `${param}.${name}`);
      const unknown = Object.keys(value).find((name) => !Object.hasOwn(fields, name));
      if (unknown !== undefined)
        throw new ApiError(
          400,
          `Unrecognized request argument supplied: ${within(unknown)}`,
          'unknown_parameter',
          within(unknown),
        );
      const entries = Object.entries(fields).map(([name, field]) => [name, read(field, value[name], within(name))]);
      return Object.fromEntries(entries) as ReadFields<F>;
    },
  };
}

/** Refuses objects that have the field `name` without `flag: true`, as OpenAI does. */
export function onlyWith<T extends object>(of: Schema<T>, name: keyof T & string, flag: keyof T & string): Schema<T> {
  const isLeftOut = { properties: { [name]: { type: 'null' } } };
  const isOn = { required: [flag], properties: { [flag]: { const: true } } };
  const { allOf = [] } = of.json as { allOf?: readonly unknown[] };
  return {
    ...of,
    json: { ...of.json, allOf: [...allOf, { anyOf: [isLeftOut, isOn] }] },
    read: (value, param) => {
      const found = of.read(value, param);
      if (found === undefined || found[name] === undefined || found[flag] === true) return found;
      const message = `The '${name}' parameter is only allowed when '${flag}' is enabled.`;
      throw new ApiError(400, message, null, name);
    },
  };
}

/** An object with any names, or with names that match `pattern`. */
export function record<T>(
  of: Schema<T>,
  { max, pattern, description }: { max: number; pattern?: string; description?: string },
): Schema<Record<string, T>> {
  const regex = pattern === undefined ? null : new RegExp(pattern);
  return {
    json: clean({
      type: 'object',
      additionalProperties: of.json,
      maxProperties: max,
      propertyNames: pattern === undefined ? undefined : { pattern },
      description,
    }),
    name: `an object of at most ${max} of ${of.name}${pattern === undefined ? '' : `, whose names match ${pattern}`}`,
    read: (value, param) => {
      if (!isRecord(value)) return undefined;
      const entries = Object.entries(value);
      if (entries.length > max || (regex && entries.some(([name]) => !regex.test(name)))) return undefined;
      return Object.fromEntries(entries.map(([name, each]) => [name, read(of, each, `${param}.${name}`)]));
    },
  };
}

/** The name of a model. The OpenAPI document lists the known ones. */
export function nameOf(known: readonly string[]): Schema<string> {
  const text = string();
  return { ...text, json: known.length > 0 ? { enum: known } : text.json };
}

/** Any object, such as a JSON Schema. */
export const anyObject: Schema<Readonly<Record<string, unknown>>> = {
  json: { type: 'object' },
  name: 'an object',
  read: (value) => (isRecord(value) ? value : undefined),
};

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function clean(json: Record<string, unknown>): JsonSchema {
  return Object.fromEntries(Object.entries(json).filter(([, value]) => value !== undefined));
}
