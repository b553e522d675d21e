import type { Random } from '../../src/core/random.js';

type Schema = boolean | { readonly [name: string]: unknown };

const PATTERNS = ['^[a-z]{2,5}$', 'ab+c', '^(foo|bar)-\\d{3}', '[^"]+\\\\$', '^\\w+\\s\\w+$', '^\\u{1F600}+$'];
const FORMATS = ['date', 'time', 'date-time', 'email', 'uri', 'uuid', 'ipv4', 'ipv6', 'hostname', 'duration'];
const LEAVES = ['type', 'enum', 'const', 'pattern', 'format', 'length', 'integers', 'numbers', 'any'];
const NESTS = ['object', 'object', 'array', 'tuple', 'map', 'anyOf', 'types'];

/** A schema with others in it to a depth. */
export function randomSchema(random: Random, depth: number): Schema {
  const pick = <T>(values: readonly T[]) => values[random.below(values.length)] as T;
  const inner = () => randomSchema(random, depth - 1);
  switch (pick([...LEAVES, ...(depth > 0 ? NESTS : [])])) {
    case 'enum':
      return { enum: ['a"b', 3, null, true, { x: [1] }, 'é'] };
    case 'const':
      return { const: pick(['x', 5, false]) };
    case 'pattern':
      return { type: 'string', pattern: pick(PATTERNS) };
    case 'format':
      return { type: 'string', format: pick(FORMATS) };
    case 'length': {
      const minLength = random.below(5);
      return { type: 'string', minLength, maxLength: minLength + random.below(8) };
    }
    case 'integers': {
      const minimum = random.below(2000) - 1000;
      return { type: 'integer', minimum, maximum: minimum + random.below(500) };
    }
    case 'numbers': {
      const least = random.below(20_000) / 100 - 100;
      const most = least + (1 + random.below(5000)) / 100;
      return {
        type: 'number',
        [pick(['minimum', 'exclusiveMinimum'])]: least,
        [pick(['maximum', 'exclusiveMaximum'])]: most,
      };
    }
    case 'any':
      return pick<Schema>([true, {}]);
    case 'object': {
      const names = ['name', 'age', 'with space', 'q"', 'é', 'z'].slice(0, 1 + random.below(6));
      const properties = Object.fromEntries(names.map((name) => [name, inner()]));
      const required = names.filter(() => random.below(2) === 0);
      return { type: 'object', properties, required, additionalProperties: pick([true, false]) };
    }
    case 'array': {
      const minItems = random.below(3);
      return { type: 'array', items: inner(), minItems, maxItems: minItems + random.below(4) };
    }
    case 'tuple':
      return { type: 'array', prefixItems: [inner(), inner()], items: pick<Schema>([false, inner()]), minItems: 1 };
    case 'map':
      return { type: 'object', additionalProperties: inner() };
    case 'anyOf':
      return { anyOf: [inner(), inner()] };
    case 'types':
      return { type: ['string', 'null', 'integer'] };
    default:
      return { type: pick(['string', 'integer', 'number', 'boolean', 'null']) };
  }
}
