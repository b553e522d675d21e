// JSON values that differ from valid ones in a few places. Changed bytes of JSON text seldom parse, so these change values.
import { type Below, randomOf } from './variants.js';

/** Values that are made from one input of the fuzzer. */
const VARIANTS = 100;
/** Values that break careless code. */
const LIES: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -0,
  -1,
  1,
  0.5,
  7,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 53,
  -(2 ** 53),
  1e308,
  '',
  ' ',
  'x',
  '\u0000',
  '\ud800',
  '__proto__',
  'constructor',
  '\u{1F600}',
  '0',
  '-1',
  '#/',
  '\\',
  '(',
  '[^',
  [],
  {},
  [null],
  [[]],
  { a: null },
  ['x', 'x'],
];

type Node = Record<string, unknown> | unknown[];
const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null;

/** Changes of `seeds` that `given`, an input of the fuzzer, chooses. Text of the input is among the values put in. */
export function* jsonVariants<T>(given: Uint8Array, seeds: readonly T[], count = VARIANTS): Generator<T> {
  const below = randomOf(given);
  const text = new TextDecoder().decode(given);
  for (let i = 0; i < count; i++) {
    const holder = [structuredClone(seeds[below(seeds.length)])];
    for (let changes = 1 + below(3); changes > 0; changes--) change(holder, text, seeds, below);
    yield holder[0] as T;
  }
}

/** Changes one value somewhere in `root`. */
function change(root: unknown[], text: string, seeds: readonly unknown[], below: Below): void {
  let [node, key]: [Node, string] = [root, '0'];
  for (let inner = root[0]; isNode(inner) && below(5) > 0; ) {
    const names = Object.keys(inner);
    if (names.length === 0) break;
    [node, key] = [inner, names[below(names.length)] as string];
    inner = valueAt(inner, key);
  }
  const old = valueAt(node, key);
  switch (below(8)) {
    case 0: // something is missing
      if (node === root) put(node, key, LIES[below(LIES.length)]);
      else if (Array.isArray(node)) node.splice(Number(key), 1);
      else delete node[key];
      break;
    case 1:
      if (Array.isArray(node) && node !== root) node.push(structuredClone(old));
      else put(node, node === root ? key : text.slice(0, 8), structuredClone(old));
      break;
    case 2:
      put(node, key, below(2) === 0 ? [old] : { [below(2) === 0 ? key : 'type']: old });
      break;
    case 3:
      put(node, key, structuredClone(partOf(seeds[below(seeds.length)], below)));
      break;
    case 4:
      if (typeof old === 'number') put(node, key, old + below(5) - 2);
      else put(node, key, text.slice(0, below(64)));
      break;
    case 5:
      put(node, key, typeof old === 'string' ? edited(old, text, below) : structuredClone(LIES[below(LIES.length)]));
      break;
    default:
      put(node, key, structuredClone(LIES[below(LIES.length)]));
  }
}

function edited(old: string, text: string, below: Below): string {
  const at = below(old.length + 1);
  return old.slice(0, at) + text.slice(0, 1 + below(4)) + old.slice(at + below(3));
}

const valueAt = (node: Node, key: string): unknown => (node as Record<string, unknown>)[key];

/** Defines an own property, also if its name is `__proto__`, as JSON.parse does. */
function put(node: Node, key: string, value: unknown): void {
  Object.defineProperty(node, key, { value, configurable: true, enumerable: true, writable: true });
}

function partOf(value: unknown, below: Below): unknown {
  let part = value;
  while (isNode(part) && below(4) > 0) {
    const names = Object.keys(part);
    if (names.length === 0) break;
    part = valueAt(part, names[below(names.length)] as string);
  }
  return part;
}
