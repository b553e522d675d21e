// JSON Schema (2020-12 and draft-07) as a grammar of compact JSON. Members come in the order of the schema. A space may
// follow commas and colons.

import { isObject } from '../core/check.js';
import type { Parts } from '../core/slices.js';
import { intersectionRules } from './automaton.js';
import {
  ANY,
  choice,
  countTexts,
  type Expression,
  type Grammar,
  NOTHING,
  oneOf,
  optional,
  repeat,
  rule,
  sequence,
  text,
} from './expression.js';
import { formats } from './formats.js';
import {
  escaped,
  integersWithin,
  jsonInteger,
  jsonNumber,
  jsonString,
  jsonStringOf,
  numbersWithin,
  quoted,
} from './json-values.js';
import { type Pattern, regex } from './regex.js';
import {
  ANNOTATIONS,
  areDisjoint,
  checkKeywords,
  commonTypes,
  isOfType,
  namedTypes,
  otherKeyword,
  problem,
  refusal,
  type Schema,
  STRING_KEYWORDS,
  shown,
  typesOf,
} from './schema-types.js';

const COMMA = sequence(text(','), optional(text(' ')));
const COLON = sequence(text(':'), optional(text(' ')));

/** Maximum number of branches of a `oneOf`, because each is compared with every other one. */
const MAX_ONE_OF = 256;
/** With fewer possible names than this, an object with free names has one member: names must not repeat. */
const MIN_NAMES = 1000;

/**
 * The JSON values that satisfy a schema, or a part of them. `schema` is plain JSON (see `jsonCopy`). Throws
 * ResponseFormatError, which names keyword and place, for what is not supported.
 */
export function jsonSchemaGrammar(schema: unknown): Parts<Grammar> {
  return new SchemaReader(schema).read();
}

/** A schema that is still to be read, and the name of its rule. */
interface Open {
  readonly name: string;
  readonly schema: unknown;
  readonly place: string;
}

/** Names that members may have, besides those in `properties`. */
interface Names {
  /** All names, if there is a list of them. */
  readonly values?: readonly string[];
  /** JSON strings. */
  readonly expression: Expression;
  readonly count: number;
  accepts(name: string): boolean;
}

class SchemaReader {
  readonly #rules = new Map<string, Expression>();
  #count = 0;
  #hasFreeNames = false;
  /** The rule of each schema. A schema may contain itself, so rules are named before they are read. */
  readonly #named = new Map<unknown, string>();
  /** Nested schemas wait here: no recursion, however deep references lead. */
  readonly #open: Open[] = [];

  constructor(private readonly root: unknown) {}

  *read(): Parts<Grammar> {
    const root = this.#nameOf(this.root, '#');
    for (let next = this.#open.pop(); next !== undefined; next = this.#open.pop()) {
      this.#rules.set(next.name, yield* this.#schema(next.schema, next.place));
      yield;
    }
    return { rules: this.#rules, root, hasFreeNames: this.#hasFreeNames };
  }

  /** A reference to the rule of a schema, which is read later. */
  #ruleOf(schema: unknown, place: string): Expression {
    return rule(this.#nameOf(schema, place));
  }

  #nameOf(schema: unknown, place: string): string {
    const known = this.#named.get(schema);
    if (known !== undefined) return known;
    const name = this.#newName(place);
    this.#named.set(schema, name);
    this.#open.push({ name, schema, place });
    return name;
  }

  /** A name for a rule that no other rule has. */
  #newName(place: string): string {
    return this.#count++ === 0 ? place : `${place} (${this.#count})`;
  }

  *#schema(schema: unknown, place: string): Parts<Expression> {
    if (schema === true) return this.#anything();
    if (schema === false) return NOTHING;
    if (!isObject(schema)) throw refusal(place, `${shown(schema)}, expected an object`);
    checkKeywords(schema, place);
    if (schema.not !== undefined) return refuseAll(schema.not, place);
    if (schema.$ref !== undefined) return this.#reference(schema, place);
    if (schema.const !== undefined) return yield* valuesOf([schema.const], schema, place);
    if (schema.enum !== undefined) return yield* valuesOf(schema.enum, schema, place);
    if (schema.anyOf !== undefined) return this.#branches('anyOf', schema, place);
    if (schema.oneOf !== undefined) return this.#branches('oneOf', schema, place);
    if (schema.allOf !== undefined) return yield* this.#all(schema, place);
    const options: Expression[] = [];
    for (const type of typesOf(schema, place)) options.push(yield* this.#typed(type, schema, place));
    return oneOf(options);
  }

  *#typed(type: string, schema: Schema, place: string): Parts<Expression> {
    switch (type) {
      case 'object':
        return yield* this.#object(schema, place);
      case 'array':
        return this.#array(schema, place);
      case 'string':
        return yield* this.#string([schema], place);
      case 'boolean':
        return choice(text('true'), text('false'));
      case 'null':
        return text('null');
      default:
        return numberOf(type === 'integer', schema, place);
    }
  }

  #anything(): Expression {
    this.#hasFreeNames = true;
    if (!this.#rules.has('json')) {
      const members = listOf(sequence(jsonString(), COLON, rule('json')), 0, Number.POSITIVE_INFINITY);
      const elements = listOf(rule('json'), 0, Number.POSITIVE_INFINITY);
      const words = ['true', 'false', 'null'].map((word) => text(word));
      const lists = [sequence(text('{'), members, text('}')), sequence(text('['), elements, text(']'))];
      this.#rules.set('json', choice(jsonString(), jsonNumber, ...words, ...lists));
    }
    return rule('json');
  }

  #reference(schema: Schema, place: string): Expression {
    const other = otherKeyword(schema, ['$ref']);
    if (other !== undefined) throw refusal(place, `'$ref' beside '${other}'`);
    return this.#ruleOf(this.#resolve(schema.$ref, place), String(schema.$ref));
  }

  /** The schema that a reference names, by a JSON pointer within the whole. */
  #resolve($ref: unknown, place: string): unknown {
    if (typeof $ref !== 'string' || !/^#(\/|$)/.test($ref)) throw refusal(place, `a '$ref' to ${shown($ref)}`);
    let found: unknown = this.root;
    for (const step of $ref.split('/').slice(1)) {
      const name = decoded(step).replaceAll('~1', '/').replaceAll('~0', '~');
      const holds = (isObject(found) || Array.isArray(found)) && Object.hasOwn(found, name);
      if (!holds) throw problem(place, `a '$ref' to ${shown($ref)}, which is not there`);
      found = (found as Schema)[name];
    }
    return found;
  }

  #branches(keyword: 'anyOf' | 'oneOf', schema: Schema, place: string): Expression {
    const other = otherKeyword(schema, [keyword, 'type']);
    if (other !== undefined) throw refusal(place, `'${keyword}' beside '${other}'`);
    const branches = schema[keyword];
    if (!Array.isArray(branches) || branches.length === 0) throw refusal(place, `an '${keyword}' that is no list`);
    const types = namedTypes(schema, place);
    const narrowed = branches.map((branch, i) => this.#narrowed(branch, types, `${place}/${keyword}/${i}`));
    if (keyword === 'oneOf') this.#checkDisjoint(narrowed, place);
    return oneOf(narrowed.map((branch, i) => this.#ruleOf(branch, `${place}/${keyword}/${i}`)));
  }

  /** A branch that also has the types of the schema around it. */
  #narrowed(branch: unknown, types: readonly string[] | null, place: string): unknown {
    if (types === null || branch === false) return branch;
    if (branch === true) return { type: types };
    if (!isObject(branch)) throw refusal(place, `${shown(branch)}, expected an object`);
    if (branch.$ref === undefined) {
      const own = namedTypes(branch, place);
      const common = own === null ? types : commonTypes(own, types);
      return common.length > 0 && { ...branch, type: common };
    }
    const target = this.#resolve(branch.$ref, place);
    const own = isObject(target) ? namedTypes(target, place) : null;
    const isWithin = own !== null && commonTypes(own, types).length >= new Set(own).size;
    if (!isWithin) throw refusal(place, "'$ref' beside the 'type' of the schema around it");
    return branch;
  }

  #checkDisjoint(branches: readonly unknown[], place: string): void {
    if (branches.length > MAX_ONE_OF) throw refusal(place, `a 'oneOf' of more than ${MAX_ONE_OF} branches`);
    const targets = branches.map((branch) =>
      isObject(branch) && branch.$ref !== undefined ? this.#resolve(branch.$ref, place) : branch,
    );
    const areApart = targets.every((a, i) => targets.slice(i + 1).every((b) => areDisjoint(a, b)));
    if (!areApart) throw refusal(place, "a 'oneOf' of which one value may satisfy two branches");
  }

  /** One schema alone, or rules for strings only. */
  *#all(schema: Schema, place: string): Parts<Expression> {
    const { allOf, ...others } = schema;
    if (!Array.isArray(allOf) || allOf.length === 0) throw refusal(place, "an 'allOf' that is no list");
    if (allOf.length === 1 && otherKeyword(others, []) === undefined) return this.#ruleOf(allOf[0], `${place}/allOf/0`);
    const all = [others, ...allOf];
    const areStrings =
      all.every((each) => isObject(each) && otherKeyword(each, ['type', ...STRING_KEYWORDS]) === undefined) &&
      all.some((each) => each.type === 'string') &&
      all.every((each) => each.type === undefined || each.type === 'string');
    if (!areStrings) throw refusal(place, "an 'allOf' of schemas that are not all of strings");
    return yield* this.#string(all as Schema[], place);
  }

  /** A string that satisfies all schemas. */
  *#string(schemas: readonly Schema[], place: string): Parts<Expression> {
    const patterns = schemas.flatMap((each) => patternsOf(each, place));
    const hasPattern = patterns.length > 0;
    for (const each of schemas) patterns.push(...formatOf(each, hasPattern, place));
    const [min, max] = lengthsOf(schemas, place);
    if (patterns.length === 0) return jsonString(min, max);
    const hasLength = min > 0 || max < Number.POSITIVE_INFINITY;
    const [first] = patterns as [Pattern];
    if (patterns.length === 1 && !hasLength && !first.hasLookaheads) return jsonStringOf(first.expression);
    const expressions = patterns
      .sort((a, b) => Number(b.hasLookaheads) - Number(a.hasLookaheads))
      .map(({ expression }) => expression);
    if (hasLength) expressions.push(repeat({ kind: 'set', ranges: ANY }, min, max));
    const rules = yield* intersectionRules(expressions, () => this.#newName(`${place} string`));
    for (const [name, expression] of rules) this.#rules.set(name, escaped(expression));
    const [start] = rules.keys();
    return quoted(rule(start as string));
  }

  *#object(schema: Schema, place: string): Parts<Expression> {
    const { properties = {}, required = [], additionalProperties = true } = schema;
    if (!isObject(properties)) throw refusal(place, "'properties' that are no object");
    if (!Array.isArray(required) || !required.every((each) => typeof each === 'string'))
      throw refusal(place, "a 'required' that is no list of names");
    const names = yield* this.#names(schema.propertyNames, place);
    const schemas = new Map(Object.entries(properties));
    for (const name of [...required, ...(names?.values ?? [])])
      if (!schemas.has(name)) schemas.set(name, additionalProperties);
    for (const name of schemas.keys()) if (names?.accepts(name) === false) schemas.set(name, false);
    const min = countOf(schema, 'minProperties', 0, place);
    const max = countOf(schema, 'maxProperties', Number.POSITIVE_INFINITY, place);
    if (schemas.size === 0) return this.#freeMembers(additionalProperties, names, min, max, place);
    const needed = new Set(required as string[]);
    const possible = [...schemas].filter(([, value]) => value !== false);
    if (min > needed.size) throw refusal(place, "a 'minProperties' above the number of required members");
    if (max < possible.length) throw refusal(place, "a 'maxProperties' below the number of properties");
    if ([...needed].some((name) => schemas.get(name) === false)) return NOTHING;
    return sequence(text('{'), this.#members(possible, needed, place), text('}'));
  }

  #freeMembers(schema: unknown, names: Names | null, min: number, max: number, place: string): Expression {
    if (min > 1) throw refusal(place, "a 'minProperties' above 1 for members without names");
    if (schema === false || max === 0) return min > 0 ? NOTHING : text('{}');
    this.#hasFreeNames = true;
    const value = this.#ruleOf(schema, `${place}/additionalProperties`);
    const member = sequence(names?.expression ?? jsonString(), COLON, value);
    const fewNames = names !== null && names.count < MIN_NAMES;
    return sequence(text('{'), listOf(member, min, fewNames ? 1 : max), text('}'));
  }

  /** The constraint of `propertyNames`; null without it. Names are strings, so its `type` changes nothing. */
  *#names(given: unknown, at: string): Parts<Names | null> {
    if (given === undefined || given === true) return null;
    const place = `${at}/propertyNames`;
    const schema: unknown = given === false ? { enum: [] } : given;
    if (!isObject(schema)) throw refusal(place, `${shown(schema)}, expected an object`);
    const other = otherKeyword(schema, ['type', 'enum', 'const', ...STRING_KEYWORDS]);
    if (other !== undefined) throw refusal(place, `'${other}'`);
    const types = namedTypes(schema, place) ?? ['string'];
    const listed = types.includes('string') ? (schema.const === undefined ? schema.enum : [schema.const]) : [];
    if (listed !== undefined) {
      if (!Array.isArray(listed)) throw refusal(place, "an 'enum' that is no list");
      const values = listed.filter((each): each is string => typeof each === 'string');
      if (STRING_KEYWORDS.some((name) => schema[name] !== undefined))
        throw refusal(place, 'a list of names beside other rules');
      return { values, expression: NOTHING, count: values.length, accepts: (name) => values.includes(name) };
    }
    const expression = yield* this.#string([schema], place);
    const hasRules = STRING_KEYWORDS.some((name) => schema[name] !== undefined);
    const accepts = (): boolean => {
      if (hasRules) throw refusal(place, 'rules beside named members');
      return true;
    };
    const plain = patternsOf(schema, place).concat(formatOf(schema, schema.pattern !== undefined, place));
    const count = Math.min(Number.POSITIVE_INFINITY, ...plain.map((each) => countTexts(each.expression)));
    return { expression, count: schema.maxLength === undefined ? count : 0, accepts };
  }

  /**
   * Members in their order, with or without the optional ones. Each suffix is a rule, so that members are written once.
   */
  #members(schemas: readonly [string, unknown][], needed: ReadonlySet<string>, place: string): Expression {
    let [asFirst, asNext]: Expression[] = [text(''), text('')];
    for (const [name, schema] of schemas.toReversed()) {
      const value = this.#ruleOf(schema, `${place}/properties/${pointerStep(name)}`);
      const member = sequence(text(JSON.stringify(name)), COLON, value, asNext as Expression);
      const isNeeded = needed.has(name);
      asFirst = this.#rule(place, isNeeded ? member : choice(member, asFirst as Expression));
      asNext = this.#rule(
        place,
        isNeeded ? sequence(COMMA, member) : choice(sequence(COMMA, member), asNext as Expression),
      );
    }
    return asFirst as Expression;
  }

  #rule(place: string, expression: Expression): Expression {
    const name = this.#newName(`${place} members`);
    this.#rules.set(name, expression);
    return rule(name);
  }

  #array(schema: Schema, place: string): Expression {
    const { uniqueItems } = schema;
    const isTuple = Array.isArray(schema.items); // draft-07
    if (isTuple && schema.prefixItems !== undefined)
      throw refusal(place, "'prefixItems' beside 'items' that are a list");
    const { [isTuple ? 'items' : 'prefixItems']: first = [], [isTuple ? 'additionalItems' : 'items']: items = true } =
      schema;
    const min = countOf(schema, 'minItems', 0, place);
    const max = countOf(schema, 'maxItems', Number.POSITIVE_INFINITY, place);
    if (uniqueItems === true && max > 1) throw refusal(place, "'uniqueItems'");
    if (!Array.isArray(first)) throw refusal(place, "'prefixItems' that are no list");
    if (min > max) throw refusal(place, "'minItems' above 'maxItems'");
    const firstPlace = `${place}/${isTuple ? 'items' : 'prefixItems'}`;
    const heads = first.slice(0, max).map((each, i) => this.#ruleOf(each, `${firstPlace}/${i}`));
    const others = this.#ruleOf(items, `${place}/${isTuple ? 'additionalItems' : 'items'}`);
    if (heads.length === 0) return sequence(text('['), listOf(others, min, max), text(']'));
    let rest: Expression = repeat(sequence(COMMA, others), Math.max(0, min - heads.length), max - heads.length);
    for (const [i, head] of [...heads.entries()].reverse()) {
      const here = sequence(...(i > 0 ? [COMMA] : []), head, rest);
      rest = i >= min ? choice(here, text('')) : here;
    }
    return sequence(text('['), rest, text(']'));
  }
}

/** Values with commas between them. */
function listOf(of: Expression, min: number, max: number): Expression {
  if (max === 0) return text('');
  const some = sequence(of, repeat(sequence(COMMA, of), Math.max(0, min - 1), max - 1));
  return min > 0 ? some : optional(some);
}

/** A step of a JSON pointer. */
const pointerStep = (name: string) => name.replaceAll('~', '~0').replaceAll('/', '~1');

function decoded(step: string): string {
  try {
    return decodeURIComponent(step);
  } catch {
    return step;
  }
}

/** `not: {}` is how zod writes `never`. */
function refuseAll(not: unknown, place: string): Expression {
  const isAll = not === true || (isObject(not) && Object.keys(not).every((name) => ANNOTATIONS.has(name)));
  if (!isAll) throw refusal(place, "'not'");
  return NOTHING;
}

/** Values of an enum between two pauses. */
const VALUES_PER_STEP = 256;

function* valuesOf(values: unknown, schema: Schema, place: string): Parts<Expression> {
  if (!Array.isArray(values) || values.length === 0) throw refusal(place, "an 'enum' that is no list of values");
  const other = otherKeyword(schema, ['type', schema.const === undefined ? 'enum' : 'const']);
  if (other !== undefined) throw refusal(place, `'${other}' beside values`);
  const types = namedTypes(schema, place);
  const options: Expression[] = [];
  for (const [i, value] of values.entries()) {
    if (types === null || types.some((type) => isOfType(value, type))) options.push(text(JSON.stringify(value)));
    if (i % VALUES_PER_STEP === VALUES_PER_STEP - 1) yield;
  }
  return oneOf(options);
}

function patternsOf({ pattern }: Schema, place: string): Pattern[] {
  if (pattern === undefined) return [];
  if (typeof pattern !== 'string') throw refusal(place, `the pattern ${shown(pattern)}`);
  return [regex(pattern, { search: true })];
}

/** With a pattern, an unknown format is only an annotation: zod writes both. */
function formatOf({ format }: Schema, hasPattern: boolean, place: string): Pattern[] {
  if (format === undefined) return [];
  const known = typeof format === 'string' ? formats.get(format) : undefined;
  if (known !== undefined) return [regex(known)];
  if (!hasPattern) throw refusal(place, `the format ${shown(format)}`);
  return [];
}

function lengthsOf(schemas: readonly Schema[], place: string): [number, number] {
  const min = Math.max(...schemas.map((each) => countOf(each, 'minLength', 0, place)));
  const max = Math.min(...schemas.map((each) => countOf(each, 'maxLength', Number.POSITIVE_INFINITY, place)));
  if (min > max) throw refusal(place, "'minLength' above 'maxLength'");
  return [min, max];
}

function numberOf(isInteger: boolean, schema: Schema, place: string): Expression {
  const { multipleOf } = schema;
  if (multipleOf !== undefined && !(multipleOf === 1 && isInteger)) throw refusal(place, "'multipleOf'");
  const bound = (name: string) => {
    const value = schema[name];
    if (value === undefined || typeof value === 'number') return value;
    throw refusal(place, `'${name}' of ${shown(value)}`);
  };
  const [minimum, maximum] = [bound('minimum'), bound('maximum')];
  const [above, below] = [bound('exclusiveMinimum'), bound('exclusiveMaximum')];
  if ([minimum, maximum, above, below].every((each) => each === undefined)) return isInteger ? jsonInteger : jsonNumber;
  const [min, max] = [Math.max(minimum ?? -1e15, above ?? -1e15), Math.min(maximum ?? 1e15, below ?? 1e15)];
  const bounds = { min, max, isAbove: above === min, isBelow: below === max };
  const expression = isInteger ? integersWithin(bounds) : numbersWithin(bounds);
  if (expression === null) throw refusal(place, 'bounds between which no number is');
  return expression;
}

function countOf(schema: Schema, name: string, fallback: number, place: string): number {
  const value = schema[name];
  if (value === undefined) return fallback;
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
  throw refusal(place, `'${name}' of ${shown(value)}`);
}
