// The types of values that a JSON Schema allows, and whether two schemas exclude each other.

import { isObject } from '../core/check.js';
import { ResponseFormatError } from './format-error.js';

export type Schema = Readonly<Record<string, unknown>>;

/** Keywords that describe a value without restricting it. */
export const ANNOTATIONS: ReadonlySet<string> = new Set([
  'title',
  'description',
  'default',
  'examples',
  'example',
  '$schema',
  '$id',
  '$comment',
  '$anchor',
  'deprecated',
  'readOnly',
  'writeOnly',
  '$defs',
  'definitions',
  'id',
  'contentEncoding',
  'contentMediaType',
]);

/** The keywords of each type. */
const KEYWORDS: Readonly<Record<string, readonly string[]>> = {
  object: ['properties', 'required', 'additionalProperties', 'minProperties', 'maxProperties', 'propertyNames'],
  array: ['items', 'prefixItems', 'additionalItems', 'minItems', 'maxItems', 'uniqueItems'],
  string: ['minLength', 'maxLength', 'pattern', 'format'],
  number: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
};
export const STRING_KEYWORDS: readonly string[] = KEYWORDS.string as readonly string[];

const TYPES = ['object', 'array', 'string', 'number', 'integer', 'boolean', 'null'];

const SUPPORTED: ReadonlySet<string> = new Set([
  'type',
  'enum',
  'const',
  'anyOf',
  'oneOf',
  'allOf',
  'not',
  '$ref',
  ...ANNOTATIONS,
  ...Object.values(KEYWORDS).flat(),
]);

/** The error for a schema at a JSON pointer that has something wrong. */
export function problem(pointer: string, what: string): ResponseFormatError {
  const shown = pointer.length > 200 ? `${pointer.slice(0, 200)}…` : pointer;
  return new ResponseFormatError(`the schema at ${shown} has ${what}`);
}

/** The error for a schema at a JSON pointer that has something which is not supported. */
export const refusal = (pointer: string, what: string): ResponseFormatError =>
  problem(pointer, `${what}, which is not supported`);

/** A value in a message. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

/** Refuses keywords that are not supported. */
export function checkKeywords(schema: Schema, pointer: string): void {
  const unknown = Object.keys(schema).find((name) => !SUPPORTED.has(name));
  if (unknown !== undefined) throw refusal(pointer, `'${shown(unknown).slice(1, -1)}'`);
}

/** The first keyword of a schema that restricts values and is none of `names`. */
export function otherKeyword(schema: Schema, names: readonly string[]): string | undefined {
  return Object.keys(schema).find((name) => !ANNOTATIONS.has(name) && !names.includes(name));
}

/** The types that a schema names, or null without `type`. */
export function namedTypes({ type }: Schema, pointer: string): readonly string[] | null {
  if (type === undefined) return null;
  const types = Array.isArray(type) ? (type as unknown[]) : [type];
  const odd = types.find((name) => !TYPES.includes(name as string));
  if (odd !== undefined || types.length === 0) throw refusal(pointer, `the type ${shown(odd ?? [])}`);
  return types as string[];
}

/** The types that are written for a schema: the named ones, or those whose keywords it has, or all. */
export function typesOf(schema: Schema, pointer: string): readonly string[] {
  const named = namedTypes(schema, pointer);
  if (named !== null) return named;
  const meant = Object.entries(KEYWORDS).filter(([, names]) => names.some((name) => schema[name] !== undefined));
  return meant.length > 0 ? meant.map(([name]) => name) : TYPES.filter((type) => type !== 'integer');
}

/** The types that are in both lists. Every integer is a number. */
export function commonTypes(a: readonly string[], b: readonly string[]): string[] {
  const isIn = (type: string, types: readonly string[]) =>
    types.includes(type) || (type === 'integer' && types.includes('number'));
  return [...new Set([...a.filter((type) => isIn(type, b)), ...b.filter((type) => isIn(type, a))])];
}

export function isOfType(value: unknown, type: string): boolean {
  switch (type) {
    case 'object':
      return isObject(value);
    case 'array':
      return Array.isArray(value);
    case 'integer':
      return Number.isInteger(value);
    case 'null':
      return value === null;
    default:
      return typeof value === type;
  }
}

/** True if no value that is written for one schema satisfies the other one. */
export function areDisjoint(a: unknown, b: unknown): boolean {
  if (a === false || b === false) return true;
  if (!isObject(a) || !isObject(b)) return false;
  const [values, otherValues] = [valuesOf(a), valuesOf(b)];
  const [types, otherTypes] = [namedTypes(a, '#'), namedTypes(b, '#')];
  if (values && otherValues)
    return !values.some((value) => otherValues.some((other) => canonical(value) === canonical(other)));
  if (values && otherTypes) return !values.some((value) => otherTypes.some((type) => isOfType(value, type)));
  if (otherValues && types) return !otherValues.some((value) => types.some((type) => isOfType(value, type)));
  if (types && otherTypes && commonTypes(types, otherTypes).length === 0) return true;
  if (!isObjectOnly(a) || !isObjectOnly(b)) return false;
  const [tags, otherTags] = [tagsOf(a), tagsOf(b)];
  return [...tags].some(([name, values]) => otherTags.get(name)?.every((value) => !values.includes(value)) ?? false);
}

/** The values that `enum` or `const` lists, or null. */
function valuesOf(schema: Schema): readonly unknown[] | null {
  if (schema.const !== undefined) return [schema.const];
  return Array.isArray(schema.enum) ? schema.enum : null;
}

/** True if only objects are written for a schema. */
function isObjectOnly(schema: Schema): boolean {
  const isPlain = ['enum', 'const', 'anyOf', 'oneOf', 'allOf', 'not', '$ref'].every(
    (name) => !Object.hasOwn(schema, name),
  );
  return isPlain && typesOf(schema, '#').every((type) => type === 'object');
}

/** The required members that have one of a few values, by name. */
function tagsOf({ properties, required }: Schema): Map<string, readonly string[]> {
  if (!isObject(properties) || !Array.isArray(required)) return new Map();
  const found = Object.entries(properties).flatMap(([name, schema]) => {
    const values = required.includes(name) && isObject(schema) ? valuesOf(schema) : null;
    return values ? [[name, values.map(canonical)] as const] : [];
  });
  return new Map(found);
}

/** Equal for equal JSON values. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_, member) =>
    isObject(member) ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1))) : member,
  );
}
