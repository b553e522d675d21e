// JSON Schema (2020-12, and the older names of the same) as a grammar of compact JSON: members in the order in which the
// schema names them, a space after commas and colons or none.

import { isObject } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import { choice, type Expression, type Grammar, optional, repeat, rule, sequence, text } from './expression.js';
import { formats } from './formats.js';
import { integersWithin, jsonInteger, jsonNumber, jsonString, jsonStringOf, numbersWithin } from './json-values.js';
import { regex } from './regex.js';

type Schema = Readonly<Record<string, unknown>>;

/** Say something about values without restricting them. */
const NOTES = [
  ...['title', 'description', 'default', 'examples', 'example', '$schema', '$id', '$comment', '$anchor', 'deprecated'],
  ...['readOnly', 'writeOnly', '$defs', 'definitions', 'id'],
];
const KEYWORDS: Readonly<Record<string, readonly string[]>> = {
  object: ['properties', 'required', 'additionalProperties', 'minProperties', 'maxProperties'],
  array: ['items', 'prefixItems', 'minItems', 'maxItems', 'uniqueItems'],
  string: ['minLength', 'maxLength', 'pattern', 'format'],
  number: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
};
const TYPES = ['object', 'array', 'string', 'number', 'integer', 'boolean', 'null'];

const COMMA = sequence(text(','), optional(text(' ')));
const COLON = sequence(text(':'), optional(text(' ')));

/**
 * The JSON that a schema allows, or a part of it that satisfies the schema: objects have the members that are named.
 * Throws ArgumentError, naming it and its place, for what is not supported.
 */
export function jsonSchemaGrammar(schema: unknown): Grammar {
  return new SchemaReader(schema).read();
}

/** Any JSON value; `json_object` wants objects. */
export function jsonGrammar(type: 'object' | 'value'): Grammar {
  return jsonSchemaGrammar(type === 'object' ? { type: 'object' } : true);
}

class SchemaReader {
  readonly #rules = new Map<string, Expression>();
  /** Schemas that are read already, or are being read, by the names of their rules. */
  readonly #named = new Map<unknown, string>();

  constructor(private readonly root: unknown) {}

  read(): Grammar {
    this.#rules.set('root', this.#schema(this.root, '#'));
    return { rules: this.#rules, root: 'root' };
  }

  /** A rule for a schema, which may be within itself. */
  #ruleOf(schema: unknown, place: string): Expression {
    const known = this.#named.get(schema);
    if (known !== undefined) return rule(known);
    const name = place;
    this.#named.set(schema, name);
    this.#rules.set(name, this.#schema(schema, place));
    return rule(name);
  }

  #schema(schema: unknown, place: string): Expression {
    if (schema === true) return this.#anything();
    if (schema === false) throw refusal(place, 'false, which nothing satisfies');
    if (!isObject(schema)) throw refusal(place, `${JSON.stringify(schema)}, expected an object`);
    const given = schema as Schema;
    for (const name of Object.keys(given)) if (!isSupported(name)) throw refusal(place, `'${name}'`);
    const { $ref, enum: values, const: constant } = given;
    if ($ref !== undefined) return this.#reference(given, place);
    if (constant !== undefined) return this.#values([constant], given, place);
    if (values !== undefined) return this.#values(values, given, place);
    if (given.anyOf !== undefined) return this.#branches('anyOf', given, place);
    if (given.oneOf !== undefined) return this.#branches('oneOf', given, place);
    if (given.allOf !== undefined) return this.#single(given, place);
    const types = typesOf(given, place);
    return choice(...types.map((type) => this.#typed(type, given, place)));
  }

  #typed(type: string, schema: Schema, place: string): Expression {
    switch (type) {
      case 'object':
        return this.#object(schema, place);
      case 'array':
        return this.#array(schema, place);
      case 'string':
        return stringOf(schema, place);
      case 'boolean':
        return choice(text('true'), text('false'));
      case 'null':
        return text('null');
      default:
        return numberOf(type === 'integer', schema, place);
    }
  }

  #anything(): Expression {
    if (!this.#rules.has('json')) {
      this.#rules.set('json', text(''));
      const members = this.#list(sequence(jsonString(), COLON, rule('json')), 0, Number.POSITIVE_INFINITY);
      const elements = this.#list(rule('json'), 0, Number.POSITIVE_INFINITY);
      const words = ['true', 'false', 'null'].map((word) => text(word));
      const list = [sequence(text('{'), members, text('}')), sequence(text('['), elements, text(']'))];
      this.#rules.set('json', choice(jsonString(), jsonNumber, ...words, ...list));
    }
    return rule('json');
  }

  #reference({ $ref, ...others }: Schema, place: string): Expression {
    const other = Object.keys(others).find((name) => !NOTES.includes(name));
    if (other !== undefined) throw refusal(place, `'$ref' beside '${other}'`);
    if (typeof $ref !== 'string' || !$ref.startsWith('#')) throw refusal(place, `a '$ref' to ${JSON.stringify($ref)}`);
    const steps = $ref.slice(1).split('/').slice(1);
    let found: unknown = this.root;
    for (const step of steps.map((each) => decodeURIComponent(each).replaceAll('~1', '/').replaceAll('~0', '~'))) {
      const holder: unknown = found;
      found = isObject(holder) || Array.isArray(holder) ? (holder as Schema)[step] : undefined;
    }
    if (found === undefined) throw refusal(place, `a '$ref' to ${$ref}, which is not there`);
    return this.#ruleOf(found, $ref);
  }

  #values(values: unknown, schema: Schema, place: string): Expression {
    if (!Array.isArray(values) || values.length === 0) throw refusal(place, `an 'enum' that is no list of values`);
    const types = schema.type === undefined ? null : typesOf(schema, place);
    const others = Object.keys(schema).filter((name) => !['type', 'enum', 'const', ...NOTES].includes(name));
    if (others.length > 0) throw refusal(place, `'${others[0]}' beside values`);
    const fitting = types === null ? values : values.filter((value) => types.some((type) => isOfType(value, type)));
    if (fitting.length === 0) throw refusal(place, 'values of which none has its type');
    return choice(...fitting.map((value) => text(JSON.stringify(value))));
  }

  #branches(name: 'anyOf' | 'oneOf', schema: Schema, place: string): Expression {
    const { [name]: branches, type, ...others } = schema;
    const other = Object.keys(others).find((each) => !NOTES.includes(each));
    if (other !== undefined) throw refusal(place, `'${name}' beside '${other}'`);
    if (!Array.isArray(branches) || branches.length === 0) throw refusal(place, `an '${name}' that is no list`);
    const typed = branches.map((branch: unknown) => {
      return type === undefined || !isObject(branch) || 'type' in branch || '$ref' in branch
        ? branch
        : { ...branch, type };
    });
    if (name === 'oneOf' && !areDisjoint(typed)) throw refusal(place, "a 'oneOf' whose branches may both be right");
    const possible = typed.filter((branch) => branch !== false);
    return choice(...possible.map((branch, i) => this.#ruleOf(branch, `${place}/${name}/${i}`)));
  }

  #single(schema: Schema, place: string): Expression {
    const { allOf, ...others } = schema;
    const isOne =
      Array.isArray(allOf) && allOf.length === 1 && Object.keys(others).every((each) => NOTES.includes(each));
    if (!isOne) throw refusal(place, "an 'allOf' of several schemas");
    return this.#ruleOf((allOf as unknown[])[0], `${place}/allOf/0`);
  }

  #object(schema: Schema, place: string): Expression {
    const { properties = {}, required = [], additionalProperties = true } = schema;
    if (!isObject(properties)) throw refusal(place, "'properties' that are no object");
    if (!Array.isArray(required)) throw refusal(place, "a 'required' that is no list");
    const schemas = new Map(Object.entries(properties as Schema));
    for (const name of required as string[]) {
      if (schemas.has(name)) continue;
      if (additionalProperties === false) throw refusal(place, `a required '${name}' that it does not allow`);
      schemas.set(name, additionalProperties);
    }
    const [least, most] = [
      countOf(schema, 'minProperties', 0, place),
      countOf(schema, 'maxProperties', Infinity, place),
    ];
    if (schemas.size === 0) {
      if (least > 0) throw refusal(place, "'minProperties' of members without names");
      if (additionalProperties === false || most === 0) return text('{}');
      const value = this.#ruleOf(additionalProperties, `${place}/additionalProperties`);
      return sequence(text('{'), this.#list(sequence(jsonString(), COLON, value), 0, most), text('}'));
    }
    const needed = new Set(required as string[]);
    for (const [name, value] of schemas) if (value === false) schemas.delete(name);
    if (least > needed.size) throw refusal(place, "'minProperties' above the number of those required");
    if (most < schemas.size) throw refusal(place, "'maxProperties' below the number of its properties");
    return sequence(text('{'), this.#members([...schemas], needed, place), text('}'));
  }

  /** Members in their order, those that need not be left out or not: rules, so that each is written once. */
  #members(schemas: readonly [string, unknown][], needed: ReadonlySet<string>, place: string): Expression {
    const ruleName = (i: number, isFirst: boolean) => `${place} members ${i}${isFirst ? ' first' : ''}`;
    for (let i = schemas.length; i >= 0; i--)
      for (const isFirst of [true, false]) {
        const [name, schema] = schemas[i] ?? [];
        let expression: Expression = text('');
        if (name !== undefined) {
          const value = this.#ruleOf(schema, `${place}/properties/${name}`);
          const member = sequence(text(JSON.stringify(name)), COLON, value, rule(ruleName(i + 1, false)));
          const here = isFirst ? member : sequence(COMMA, member);
          expression = needed.has(name) ? here : choice(here, rule(ruleName(i + 1, isFirst)));
        }
        this.#rules.set(ruleName(i, isFirst), expression);
      }
    return rule(ruleName(0, true));
  }

  #array(schema: Schema, place: string): Expression {
    const { items = true, prefixItems = [], uniqueItems } = schema;
    const [least, most] = [countOf(schema, 'minItems', 0, place), countOf(schema, 'maxItems', Infinity, place)];
    if (uniqueItems === true && most > 1) throw refusal(place, "'uniqueItems'");
    if (!Array.isArray(prefixItems)) throw refusal(place, "'prefixItems' that are no list");
    if (Array.isArray(items)) throw refusal(place, "'items' that are a list: use prefixItems");
    if (least > most) throw refusal(place, "'minItems' above 'maxItems'");
    const first = (prefixItems as unknown[])
      .slice(0, most)
      .map((each, i) => this.#ruleOf(each, `${place}/prefixItems/${i}`));
    if (first.length === 0) {
      if (items === false && least > 0) throw refusal(place, "'minItems' of items that it does not allow");
      if (items === false || most === 0) return text('[]');
      return sequence(text('['), this.#list(this.#ruleOf(items, `${place}/items`), least, most), text(']'));
    }
    const [fewer, more] = [Math.max(0, least - first.length), most - first.length];
    if (items === false && fewer > 0) throw refusal(place, "'minItems' of items that it does not allow");
    const hasMore = items !== false && more > 0;
    let rest: Expression = text('');
    if (hasMore) rest = repeat(sequence(COMMA, this.#ruleOf(items, `${place}/items`)), fewer, more);
    for (let i = first.length - 1; i >= 0; i--) {
      const item = first[i] as Expression;
      const here = sequence(...(i > 0 ? [COMMA] : []), item, rest);
      rest = i >= least ? choice(here, text('')) : here;
    }
    return sequence(text('['), rest, text(']'));
  }

  /** Values with commas between them. */
  #list(of: Expression, least: number, most: number): Expression {
    const some = sequence(of, repeat(sequence(COMMA, of), Math.max(0, least - 1), most - 1));
    return least > 0 ? some : optional(some);
  }
}

function isSupported(name: string): boolean {
  const others = ['type', 'enum', 'const', 'anyOf', 'oneOf', 'allOf', '$ref'];
  return [...NOTES, ...others, ...Object.values(KEYWORDS).flat()].includes(name);
}

/** The types that it names, or whose keywords it has, or all. */
function typesOf(schema: Schema, place: string): readonly string[] {
  const { type } = schema;
  if (type !== undefined) {
    const types = Array.isArray(type) ? (type as unknown[]) : [type];
    const odd = types.find((each) => !TYPES.includes(each as string));
    if (odd !== undefined || types.length === 0) throw refusal(place, `the type ${JSON.stringify(odd)}`);
    return types as string[];
  }
  const meant = Object.entries(KEYWORDS).filter(([, names]) => names.some((name) => schema[name] !== undefined));
  return meant.length > 0 ? meant.map(([name]) => name) : TYPES.filter((each) => each !== 'integer');
}

function stringOf(schema: Schema, place: string): Expression {
  const { pattern, format } = schema;
  const hasLength = schema.minLength !== undefined || schema.maxLength !== undefined;
  const rules = [pattern !== undefined && "'pattern'", format !== undefined && "'format'", hasLength && 'a length'];
  const given = rules.filter((each) => each !== false);
  if (given.length > 1) throw refusal(place, given.join(' together with '));
  if (pattern !== undefined) return jsonStringOf(regex(String(pattern), { search: true }));
  if (format !== undefined) {
    const known = formats[format as string];
    if (known === undefined) throw refusal(place, `the format ${JSON.stringify(format)}`);
    return jsonStringOf(regex(known));
  }
  const [least, most] = [countOf(schema, 'minLength', 0, place), countOf(schema, 'maxLength', Infinity, place)];
  if (least > most) throw refusal(place, "'minLength' above 'maxLength'");
  return jsonString(least, most);
}

function numberOf(isInteger: boolean, schema: Schema, place: string): Expression {
  const { multipleOf, ...others } = schema;
  if (multipleOf !== undefined && !(multipleOf === 1 && isInteger)) throw refusal(place, "'multipleOf'");
  const bound = (name: string) => {
    const value = others[name];
    if (value !== undefined && (typeof value !== 'number' || !Number.isFinite(value)))
      throw refusal(place, `'${name}' of ${JSON.stringify(value)}`);
    return value as number | undefined;
  };
  const [least, most] = [bound('minimum'), bound('maximum')];
  const [above, below] = [bound('exclusiveMinimum'), bound('exclusiveMaximum')];
  if ([least, most, above, below].every((each) => each === undefined)) return isInteger ? jsonInteger : jsonNumber;
  const [min, max] = [Math.max(least ?? -1e15, above ?? -1e15), Math.min(most ?? 1e15, below ?? 1e15)];
  const bounds = { min, max, isAbove: above === min, isBelow: below === max };
  const expression = isInteger ? integersWithin(bounds) : numbersWithin(bounds);
  if (expression === null) throw refusal(place, 'bounds between which no number is');
  return expression;
}

function countOf(schema: Schema, name: string, fallback: number, place: string): number {
  const value = schema[name] ?? fallback;
  if (value === fallback || (Number.isSafeInteger(value) && (value as number) >= 0)) return value as number;
  throw refusal(place, `'${name}' of ${JSON.stringify(value)}`);
}

function isOfType(value: unknown, type: string): boolean {
  switch (type) {
    case 'object':
      return isObject(value) && !Array.isArray(value);
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

/** Whether no value satisfies two of them, as their types or the values of a required member tell. */
function areDisjoint(branches: readonly unknown[]): boolean {
  return branches.every((a, i) =>
    branches.slice(i + 1).every((b) => isObject(a) && isObject(b) && differ(a as Schema, b as Schema)),
  );
}

function differ(a: Schema, b: Schema): boolean {
  const [types, others] = [a, b].map(({ type }) => (type === undefined ? [] : ([type].flat() as string[])));
  const isNumber = (each: readonly string[]) => each.includes('integer') || each.includes('number');
  const share = types?.some((type) => others?.includes(type)) || (isNumber(types ?? []) && isNumber(others ?? []));
  if (types?.length && others?.length && !share) return true;
  const [own, its] = [constants(a), constants(b)];
  return [...own].some(([name, values]) => its.get(name)?.every((value) => !values.includes(value)) ?? false);
}

/** Of required members that have one of few values: those. */
function constants({ properties = {}, required = [] }: Schema): Map<string, readonly string[]> {
  const found = Object.entries(properties as Record<string, Schema>).flatMap(([name, schema]) => {
    if (!(required as string[]).includes(name) || !isObject(schema)) return [];
    const values = schema.const !== undefined ? [schema.const] : (schema.enum as unknown[] | undefined);
    return values ? [[name, values.map((value) => JSON.stringify(value))] as const] : [];
  });
  return new Map(found);
}

function refusal(place: string, what: string): ArgumentError {
  return new ArgumentError(`responseFormat: the schema at ${place} has ${what}, which is not supported`);
}
