import type { Random } from '../../src/core/random.js';

export type Schema = boolean | { readonly [name: string]: unknown };

const PATTERNS = [
  '^[a-z]{2,5}$',
  'ab+c',
  '^(foo|bar)-\\d{3}',
  '[^"]+\\\\$',
  '^\\w+\\s\\w+$',
  '^\\u{1F600}+$',
  '^$|^a',
  '^x-',
  '^(?!b)[a-c]{1,3}$',
  '^(?=.*\\d)[a-z0-9]{3,6}$',
  '^P(?!$)(\\d+Y)?(T(?=\\d)(\\d+H)?)?$',
  '\\uD83D\\uDE00',
  '^.{0,4}$',
  '^[\\s\\S]?é',
  '(a|b)*c$',
  '^(?:[ab]|cd){2,}$',
  '[^\\n]',
];
const FORMATS = ['date', 'time', 'date-time', 'email', 'uri', 'uuid', 'ipv4', 'ipv6', 'hostname', 'duration'];
const LEAVES = ['type', 'enum', 'const', 'string', 'string', 'number', 'number', 'any', 'never'];
const NESTS = ['object', 'object', 'array', 'tuple', 'map', 'anyOf', 'oneOf', 'tagged', 'types', 'reference', 'allOf'];
/** Without `__proto__`, which ajv skips. */
const NAMES = ['name', 'age', 'with space', 'q"', 'é', 'z', 'a/b', 'constructor', ''];
const VALUES = ['a"b', 'x', '', 3, -0.5, null, true, { x: [1] }, { y: 1, x: 2 }, [], 'é', '\u2028'];
const TYPES = ['string', 'integer', 'number', 'boolean', 'null', 'object', 'array'];

/** A random schema, with other schemas in it to a depth. It may be unsatisfiable, or not supported. */
export function randomSchema(random: Random, depth: number): Schema {
  const pick = <T>(values: readonly T[]) => values[random.below(values.length)] as T;
  const some = <T>(values: readonly T[]) => values.filter(() => random.below(3) === 0);
  const perhaps = (chance: number, name: string, value: () => unknown) =>
    random.below(chance) === 0 ? { [name]: value() } : {};
  const inner = (): Schema => (random.below(8) === 0 ? false : randomSchema(random, depth - 1));
  switch (pick([...LEAVES, ...(depth > 0 ? NESTS : [])])) {
    case 'enum':
      return { enum: [pick(VALUES), ...some(VALUES)], ...perhaps(3, 'type', () => pick(TYPES)) };
    case 'const':
      return { const: pick(VALUES), ...perhaps(4, 'type', () => [...new Set([pick(TYPES), 'string'])]) };
    case 'string': {
      const minLength = random.below(5);
      return {
        ...perhaps(2, 'type', () => 'string'),
        ...perhaps(2, 'pattern', () => pick(PATTERNS)),
        ...perhaps(3, 'format', () => pick(FORMATS)),
        ...perhaps(3, 'minLength', () => minLength),
        ...perhaps(3, 'maxLength', () => minLength + random.below(12)),
      };
    }
    case 'number': {
      const isInteger = random.below(2) === 0;
      const min = isInteger ? random.below(2000) - 1000 : random.below(20_000) / 100 - 100;
      const width = pick([0, 0.01, 1, 1.5, 20, 500, 1e9, 1e17]);
      return {
        ...perhaps(2, 'type', () => (isInteger ? 'integer' : 'number')),
        ...perhaps(2, pick(['minimum', 'exclusiveMinimum']), () => min),
        ...perhaps(2, pick(['maximum', 'exclusiveMaximum']), () => min + width),
      };
    }
    case 'any':
      return pick<Schema>([true, {}]);
    case 'never':
      return pick<Schema>([false, { not: {} }]);
    case 'object': {
      const names = some(NAMES);
      const properties = Object.fromEntries(names.map((name) => [name, inner()]));
      return {
        ...perhaps(2, 'type', () => 'object'),
        properties,
        ...perhaps(2, 'required', () => [...new Set(some([...names, 'other']))]),
        ...perhaps(2, 'additionalProperties', () => pick<Schema>([true, false, inner()])),
        ...perhaps(8, 'minProperties', () => random.below(3)),
        ...perhaps(8, 'maxProperties', () => random.below(6)),
      };
    }
    case 'array': {
      const minItems = random.below(3);
      return {
        ...perhaps(2, 'type', () => 'array'),
        items: inner(),
        ...perhaps(2, 'minItems', () => minItems),
        ...perhaps(2, 'maxItems', () => minItems + random.below(4)),
      };
    }
    case 'tuple':
      return {
        prefixItems: [inner(), inner()],
        ...perhaps(2, 'items', () => inner()),
        ...perhaps(2, 'minItems', () => random.below(4)),
        ...perhaps(3, 'maxItems', () => random.below(4)),
      };
    case 'map':
      return {
        type: 'object',
        additionalProperties: inner(),
        ...perhaps(2, 'propertyNames', () => propertyNames(random)),
        ...perhaps(4, 'required', () => some(['a', 'b'])),
        ...perhaps(6, 'minProperties', () => 1),
      };
    case 'anyOf':
      return { anyOf: [inner(), inner()], ...perhaps(3, 'type', () => [...new Set([pick(TYPES), pick(TYPES)])]) };
    case 'oneOf':
      return { oneOf: [inner(), inner()] };
    case 'tagged':
      return { oneOf: ['a', 'b', 1].map((tag) => tagged(tag, inner())) };
    case 'allOf':
      return {
        type: 'string',
        allOf: [{ pattern: pick(PATTERNS) }, { maxLength: 20 }, ...some([{ pattern: '[a-z]' }])],
      };
    case 'reference':
      return { $ref: pick(['#/$defs/node', '#/$defs/list', '#/$defs/text']) };
    case 'types':
      return { type: ['string', 'null', 'integer'] };
    default:
      return { type: pick(['string', 'integer', 'number', 'boolean', 'null']) };
  }
}

const tagged = (tag: unknown, inner: Schema): Schema => ({
  type: 'object',
  properties: { kind: { const: tag }, value: inner },
  required: ['kind'],
});

function propertyNames(random: Random): Schema {
  const all: Schema[] = [
    true,
    { type: 'string' },
    { enum: ['a', 'b'] },
    { type: 'string', pattern: '^[a-d]{2}$' },
    { const: 'a' },
    { pattern: '^x-[a-z]+$' },
    { pattern: '^[ab]$' },
    { minLength: 2 },
    { maxLength: 3 },
    { format: 'date' },
  ];
  return all[random.below(all.length)] as Schema;
}

/** A random schema with definitions that its references lead to. */
export function randomDocument(random: Random): Schema {
  const schema = randomSchema(random, 3);
  if (typeof schema === 'boolean') return schema;
  const node = {
    type: 'object',
    properties: { value: randomSchema(random, 1), next: { anyOf: [{ $ref: '#/$defs/node' }, { type: 'null' }] } },
    required: ['next'],
  };
  const list = { type: 'array', items: { $ref: '#/$defs/list' }, maxItems: 3 };
  return { ...schema, $defs: { node, list, text: { type: 'string', maxLength: 4 } } };
}
