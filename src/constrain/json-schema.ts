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
 * ResponseFormatError, which names keyword and JSON pointer, for what is not supported.
 */
export function jsonSchemaGrammar(schema: unknown): Parts<Grammar> {
  return new SchemaReader(schema).read();
}

/** A schema that is still to be read, and the name of its rule. */
interface Open {
  readonly name: string;
  readonly schema: unknown;
  readonly pointer: string;
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
      this.#rules.set(next.name, yield* this.#schema(next.schema, next.pointer));
      yield;
    }
    return { rules: this.#rules, root, hasFreeNames: this.#hasFreeNames };
  }

  /** A reference to the rule of a schema, which is read later. */
  #ruleOf(schema: unknown, pointer: string): Expression {
    return rule(this.#nameOf(schema, pointer));
  }

  #nameOf(schema: unknown, pointer: string): string {
    const known = this.#named.get(schema);
    if (known !== undefined) return known;
    const name = this.#newName(pointer);
    this.#named.set(schema, name);
    this.#open.push({ name, schema, pointer });
    return name;
  }

  /** A name for a rule that no other rule has. */
  #newName(pointer: string): string {
    return this.#count++ === 0 ? pointer : `${pointer} (${this.#count})`;
  }

  *#schema(schema: unknown, pointer: string): Parts<Expression> {
    if (schema === true) return this.#anything();
    if (schema === false) return NOTHING;
    if (!isObject(schema)) throw refusal(pointer, `${shown(schema)}, expected an object`);
    checkKeywords(schema, pointer);
    if (schema.not !== undefined) return refuseAll(schema.not, pointer);
    if (schema.$ref !== undefined) return this.#reference(schema, pointer);
    if (schema.const !== undefined) return yield* valuesOf([schema.const], schema, pointer);
    if (schema.enum !== undefined) return yield* valuesOf(schema.enum, schema, pointer);
    if (schema.anyOf !== undefined) return this.#branches('anyOf', schema, pointer);
    if (schema.oneOf !== undefined) return this.#branches('oneOf', schema, pointer);
    if (schema.allOf !== undefined) return yield* this.#all(schema, pointer);
    const options: Expression[] = [];
    for (const type of typesOf(schema, pointer)) options.push(yield* this.#typed(type, schema, pointer));
    return oneOf(options);
  }

  *#typed(type: string, schema: Schema, pointer: string): Parts<Expression> {
    switch (type) {
      case 'object':
        return yield* this.#object(schema, pointer);
      case 'array':
        return this.#array(schema, pointer);
      case 'string':
        return yield* this.#string([schema], pointer);
      case 'boolean':
        return choice(text('true'), text('false'));
      case 'null':
        return text('null');
      default:
        return numberOf(type === 'integer', schema, pointer);
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

  #reference(schema: Schema, pointer: string): Expression {
    const other = otherKeyword(schema, ['$ref']);
    if (other !== undefined) throw refusal(pointer, `'$ref' beside '${other}'`);
    return this.#ruleOf(this.#resolve(schema.$ref, pointer), String(schema.$ref));
  }

  /** The schema that a reference names, by a JSON pointer within the whole. */
  #resolve($ref: unknown, pointer: string): unknown {
    if (typeof $ref !== 'string' || !/^#(\/|$)/.test($ref)) throw refusal(pointer, `a '$ref' to ${shown($ref)}`);
    let found: unknown = this.root;
    for (const step of $ref.split('/').slice(1)) {
      const name = decoded(step).replaceAll('~1', '/').replaceAll('~0', '~');
      const holds = (isObject(found) || Array.isArray(found)) && Object.hasOwn(found, name);
      if (!holds) throw problem(pointer, `a '$ref' to ${shown($ref)}, which is not there`);
      found = (found as Schema)[name];
    }
    return found;
  }

  #branches(keyword: 'anyOf' | 'oneOf', schema: Schema, pointer: string): Expression {
    const other = otherKeyword(schema, [keyword, 'type']);
    if (other !== undefined) throw refusal(pointer, `'${keyword}' beside '${other}'`);
    const branches = schema[keyword];
    if (!Array.isArray(branches) || branches.length === 0) throw refusal(pointer, `an '${keyword}' that is not a list`);
    const types = namedTypes(schema, pointer);
    const narrowed = branches.map((branch, i) => this.#narrowed(branch, types, `${pointer}/${keyword}/${i}`));
    if (keyword === 'oneOf') this.#checkDisjoint(narrowed, pointer);
    return oneOf(narrowed.map((branch, i) => this.#ruleOf(branch, `${pointer}/${keyword}/${i}`)));
  }

  /** A branch that also has the types of the schema around it. */
  #narrowed(branch: unknown, types: readonly string[] | null, pointer: string): unknown {
    if (types === null || branch === false) return branch;
    if (branch === true) return { type: types };
    if (!isObject(branch)) throw refusal(pointer, `${shown(branch)}, expected an object`);
    if (branch.$ref === undefined) {
      const branchTypes = namedTypes(branch, pointer);
      const common = branchTypes === null ? types : commonTypes(branchTypes, types);
      return common.length > 0 && { ...branch, type: common };
    }
    const target = this.#resolve(branch.$ref, pointer);
    const targetTypes = isObject(target) ? namedTypes(target, pointer) : null;
    const isWithin = targetTypes !== null && commonTypes(targetTypes, types).length >= new Set(targetTypes).size;
    if (!isWithin) throw refusal(pointer, "'$ref' beside the 'type' of the schema around it");
    return branch;
  }

  #checkDisjoint(branches: readonly unknown[], pointer: string): void {
    if (branches.length > MAX_ONE_OF) throw refusal(pointer, `a 'oneOf' of more than ${MAX_ONE_OF} branches`);
    const targets = branches.map((branch) =>
      isObject(branch) && branch.$ref !== undefined ? this.#resolve(branch.$ref, pointer) : branch,
    );
    const areApart = targets.every((a, i) => targets.slice(i + 1).every((b) => areDisjoint(a, b)));
    if (!areApart) throw refusal(pointer, "a 'oneOf' of which one value may satisfy two branches");
  }

  /** One schema alone, or rules for strings only. */
  *#all(schema: Schema, pointer: string): Parts<Expression> {
    const { allOf, ...otherKeywords } = schema;
    if (!Array.isArray(allOf) || allOf.length === 0) throw refusal(pointer, "an 'allOf' that is not a list");
    if (allOf.length === 1 && otherKeyword(otherKeywords, []) === undefined)
      return this.#ruleOf(allOf[0], `${pointer}/allOf/0`);
    const all = [otherKeywords, ...allOf];
    const areStrings =
      all.every((member) => isObject(member) && otherKeyword(member, ['type', ...STRING_KEYWORDS]) === undefined) &&
      all.some((member) => member.type === 'string') &&
      all.every((member) => member.type === undefined || member.type === 'string');
    if (!areStrings) throw refusal(pointer, "an 'allOf' of schemas that are not all of strings");
    return yield* this.#string(all as Schema[], pointer);
  }

  /** A string that satisfies all schemas. */
  *#string(schemas: readonly Schema[], pointer: string): Parts<Expression> {
    const patterns = schemas.flatMap((schema) => patternsOf(schema, pointer));
    const hasPattern = patterns.length > 0;
    for (const schema of schemas) patterns.push(...formatOf(schema, hasPattern, pointer));
    const [min, max] = lengthsOf(schemas, pointer);
    if (patterns.length === 0) return jsonString(min, max);
    const hasLength = min > 0 || max < Number.POSITIVE_INFINITY;
    const [first] = patterns as [Pattern];
    if (patterns.length === 1 && !hasLength && !first.hasLookaheads) return jsonStringOf(first.expression);
    const expressions = patterns
      .sort((a, b) => Number(b.hasLookaheads) - Number(a.hasLookaheads))
      .map(({ expression }) => expression);
    if (hasLength) expressions.push(repeat({ kind: 'set', ranges: ANY }, min, max));
    const rules = yield* intersectionRules(expressions, () => this.#newName(`${pointer} string`));
    for (const [name, expression] of rules) this.#rules.set(name, escaped(expression));
    const [start] = rules.keys();
    return quoted(rule(start as string));
  }

  *#object(schema: Schema, pointer: string): Parts<Expression> {
    const { properties = {}, required = [], additionalProperties = true } = schema;
    if (!isObject(properties)) throw refusal(pointer, "'properties' that are not an object");
    if (!Array.isArray(required) || !required.every((name) => typeof name === 'string'))
      throw refusal(pointer, "a 'required' that is not a list of names");
    const names = yield* this.#names(schema.propertyNames, pointer);
    const schemas = new Map(Object.entries(properties));
    for (const name of [...required, ...(names?.values ?? [])])
      if (!schemas.has(name)) schemas.set(name, additionalProperties);
    for (const name of schemas.keys()) if (names?.accepts(name) === false) schemas.set(name, false);
    const min = countOf(schema, 'minProperties', 0, pointer);
    const max = countOf(schema, 'maxProperties', Number.POSITIVE_INFINITY, pointer);
    if (schemas.size === 0) return this.#freeMembers(additionalProperties, names, min, max, pointer);
    const needed = new Set(required as string[]);
    const possible = [...schemas].filter(([, value]) => value !== false);
    if (min > needed.size) throw refusal(pointer, "a 'minProperties' above the number of required members");
    if (max < possible.length) throw refusal(pointer, "a 'maxProperties' below the number of properties");
    if ([...needed].some((name) => schemas.get(name) === false)) return NOTHING;
    return sequence(text('{'), this.#members(possible, needed, pointer), text('}'));
  }

  #freeMembers(schema: unknown, names: Names | null, min: number, max: number, pointer: string): Expression {
    if (min > 1) throw refusal(pointer, "a 'minProperties' above 1 for members without names");
    if (schema === false || max === 0) return min > 0 ? NOTHING : text('{}');
    this.#hasFreeNames = true;
    const value = this.#ruleOf(schema, `${pointer}/additionalProperties`);
    const member = sequence(names?.expression ?? jsonString(), COLON, value);
    const fewNames = names !== null && names.count < MIN_NAMES;
    return sequence(text('{'), listOf(member, min, fewNames ? 1 : max), text('}'));
  }

  /** The constraint of `propertyNames`; null without it. Names are strings, so its `type` changes nothing. */
  *#names(propertyNames: unknown, parent: string): Parts<Names | null> {
    if (propertyNames === undefined || propertyNames === true) return null;
    const pointer = `${parent}/propertyNames`;
    const schema: unknown = propertyNames === false ? { enum: [] } : propertyNames;
    if (!isObject(schema)) throw refusal(pointer, `${shown(schema)}, expected an object`);
    const other = otherKeyword(schema, ['type', 'enum', 'const', ...STRING_KEYWORDS]);
    if (other !== undefined) throw refusal(pointer, `'${other}'`);
    const types = namedTypes(schema, pointer) ?? ['string'];
    const listed = types.includes('string') ? (schema.const === undefined ? schema.enum : [schema.const]) : [];
    if (listed !== undefined) {
      if (!Array.isArray(listed)) throw refusal(pointer, "an 'enum' that is not a list");
      const values = listed.filter((name): name is string => typeof name === 'string');
      if (STRING_KEYWORDS.some((name) => schema[name] !== undefined))
        throw refusal(pointer, 'a list of names beside other rules');
      return { values, expression: NOTHING, count: values.length, accepts: (name) => values.includes(name) };
    }
    const expression = yield* this.#string([schema], pointer);
    const hasRules = STRING_KEYWORDS.some((name) => schema[name] !== undefined);
    const accepts = (): boolean => {
      if (hasRules) throw refusal(pointer, 'rules beside named members');
      return true;
    };
    const plain = patternsOf(schema, pointer).concat(formatOf(schema, schema.pattern !== undefined, pointer));
    const count = Math.min(Number.POSITIVE_INFINITY, ...plain.map((pattern) => countTexts(pattern.expression)));
    return { expression, count: schema.maxLength === undefined ? count : 0, accepts };
  }

  /**
   * Members in their order, with or without the optional ones. Each suffix is a rule, so that members are written once.
   */
  #members(schemas: readonly [string, unknown][], needed: ReadonlySet<string>, pointer: string): Expression {
    let [asFirst, asNext]: Expression[] = [text(''), text('')];
    for (const [name, schema] of schemas.toReversed()) {
      const value = this.#ruleOf(schema, `${pointer}/properties/${pointerStep(name)}`);
      const member = sequence(text(JSON.stringify(name)), COLON, value, asNext as Expression);
      const isNeeded = needed.has(name);
      asFirst = this.#rule(pointer, isNeeded ? member : choice(member, asFirst as Expression));
      asNext = this.#rule(
        pointer,
        isNeeded ? sequence(COMMA, member) : choice(sequence(COMMA, member), asNext as Expression),
      );
    }
    return asFirst as Expression;
  }

  #rule(pointer: string, expression: Expression): Expression {
    const name = this.#newName(`${pointer} members`);
    this.#rules.set(name, expression);
    return rule(name);
  }

  #array(schema: Schema, pointer: string): Expression {
    const { uniqueItems } = schema;
    const isTuple = Array.isArray(schema.items); // draft-07
    if (isTuple && schema.prefixItems !== undefined)
      throw refusal(pointer, "'prefixItems' beside 'items' that are a list");
    const { [isTuple ? 'items' : 'prefixItems']: first = [], [isTuple ? 'additionalItems' : 'items']: items = true } =
      schema;
    const min = countOf(schema, 'minItems', 0, pointer);
    const max = countOf(schema, 'maxItems', Number.POSITIVE_INFINITY, pointer);
    if (uniqueItems === true && max > 1) throw refusal(pointer, "'uniqueItems'");
    if (!Array.isArray(first)) throw refusal(pointer, "'prefixItems' that are not a list");
    if (min > max) throw refusal(pointer, "'minItems' above 'maxItems'");
    const firstPointer = `${pointer}/${isTuple ? 'items' : 'prefixItems'}`;
    const heads = first.slice(0, max).map((head, i) => this.#ruleOf(head, `${firstPointer}/${i}`));
    const otherItems = this.#ruleOf(items, `${pointer}/${isTuple ? 'additionalItems' : 'items'}`);
    if (heads.length === 0) return sequence(text('['), listOf(otherItems, min, max), text(']'));
    let tail: Expression = repeat(sequence(COMMA, otherItems), Math.max(0, min - heads.length), max - heads.length);
    for (const [i, head] of [...heads.entries()].reverse()) {
      const here = sequence(...(i > 0 ? [COMMA] : []), head, tail);
      tail = i >= min ? choice(here, text('')) : here;
    }
    return sequence(text('['), tail, text(']'));
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
function refuseAll(not: unknown, pointer: string): Expression {
  const isAll = not === true || (isObject(not) && Object.keys(not).every((name) => ANNOTATIONS.has(name)));
  if (!isAll) throw refusal(pointer, "'not'");
  return NOTHING;
}

/** Values of an enum between two pauses. */
const VALUES_PER_STEP = 256;

function* valuesOf(values: unknown, schema: Schema, pointer: string): Parts<Expression> {
  if (!Array.isArray(values) || values.length === 0) throw refusal(pointer, "an 'enum' that is not a list of values");
  const other = otherKeyword(schema, ['type', schema.const === undefined ? 'enum' : 'const']);
  if (other !== undefined) throw refusal(pointer, `'${other}' beside values`);
  const types = namedTypes(schema, pointer);
  const options: Expression[] = [];
  for (const [i, value] of values.entries()) {
    if (types === null || types.some((type) => isOfType(value, type))) options.push(text(JSON.stringify(value)));
    if (i % VALUES_PER_STEP === VALUES_PER_STEP - 1) yield;
  }
  return oneOf(options);
}

function patternsOf({ pattern }: Schema, pointer: string): Pattern[] {
  if (pattern === undefined) return [];
  if (typeof pattern !== 'string') throw refusal(pointer, `the pattern ${shown(pattern)}`);
  return [regex(pattern, { search: true })];
}

/** With a pattern, an unknown format is only an annotation: zod writes both. */
function formatOf({ format }: Schema, hasPattern: boolean, pointer: string): Pattern[] {
  if (format === undefined) return [];
  const known = typeof format === 'string' ? formats.get(format) : undefined;
  if (known !== undefined) return [regex(known)];
  if (!hasPattern) throw refusal(pointer, `the format ${shown(format)}`);
  return [];
}

function lengthsOf(schemas: readonly Schema[], pointer: string): [number, number] {
  const min = Math.max(...schemas.map((schema) => countOf(schema, 'minLength', 0, pointer)));
  const max = Math.min(...schemas.map((schema) => countOf(schema, 'maxLength', Number.POSITIVE_INFINITY, pointer)));
  if (min > max) throw refusal(pointer, "'minLength' above 'maxLength'");
  return [min, max];
}

function numberOf(isInteger: boolean, schema: Schema, pointer: string): Expression {
  const { multipleOf } = schema;
  if (multipleOf !== undefined && !(multipleOf === 1 && isInteger)) throw refusal(pointer, "'multipleOf'");
  const bound = (name: string) => {
    const value = schema[name];
    if (value === undefined || typeof value === 'number') return value;
    throw refusal(pointer, `'${name}' of ${shown(value)}`);
  };
  const [minimum, maximum] = [bound('minimum'), bound('maximum')];
  const [above, below] = [bound('exclusiveMinimum'), bound('exclusiveMaximum')];
  if ([minimum, maximum, above, below].every((limit) => limit === undefined))
    return isInteger ? jsonInteger : jsonNumber;
  const [min, max] = [Math.max(minimum ?? -1e15, above ?? -1e15), Math.min(maximum ?? 1e15, below ?? 1e15)];
  const bounds = { min, max, isAbove: above === min, isBelow: below === max };
  const expression = isInteger ? integersWithin(bounds) : numbersWithin(bounds);
  if (expression === null) throw refusal(pointer, 'bounds between which no number is');
  return expression;
}

function countOf(schema: Schema, name: string, fallback: number, pointer: string): number {
  const value = schema[name];
  if (value === undefined) return fallback;
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
  throw refusal(pointer, `'${name}' of ${shown(value)}`);
}
