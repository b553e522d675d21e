// Python's semantics for @huggingface/jinja, which follows JavaScript in places. They concern values as text,
// comparisons, methods of text, and filters of other values. Templates are written for Python.

import { Interpreter as JinjaInterpreter } from '@huggingface/jinja';
import { formatted, methods, stripped } from './python-text-methods.js';
import {
  array,
  Environment,
  flag,
  isArray,
  isEqual,
  isIn,
  isMarkup,
  isNone,
  isNumber,
  isObject,
  isText,
  isUndefined,
  keysOf,
  MARKED,
  made,
  markup,
  type Scope,
  text,
  textOf,
  type Value,
  withMarks,
} from './python-values.js';

/** A node of a parsed template. */
interface Node {
  readonly type: string;
  // biome-ignore lint/suspicious/noExplicitAny: its fields follow from `type`
  readonly [field: string]: any;
}

/** A node that has been evaluated already. */
interface Evaluated extends Node {
  readonly type: 'Evaluated';
  readonly value: Value;
}

/** The body of a loop, evaluated once for each item. */
interface LoopBody extends Node {
  readonly type: 'LoopBody';
  readonly body: readonly Node[];
  isStopped: boolean;
}

/** Ends an iteration by `break` or `continue`. The text that the iteration has written remains. */
class LoopControl extends Error {
  written = '';

  constructor(readonly isBreak: boolean) {
    super('break or continue outside a loop');
  }
}

interface Engine {
  readonly global: Scope;
  run(program: unknown): { readonly value: string };
  evaluate(node: Node | undefined, scope: Scope): Value;
  evaluateBlock(nodes: readonly Node[], scope: Scope): Value;
  applyFilter(operand: Value, filter: Node, scope: Scope): Value;
  evaluateArguments(args: readonly Node[], scope: Scope): [Value[], Map<string, Value>];
}

const Interpreter = JinjaInterpreter as unknown as new (scope: Scope) => Engine;

/** Methods of Python's dictionaries in templates. */
const MAPPING = new Set(['items', 'keys', 'values', 'get']);
/** Filters that turn their operand into text first. */
const OF_TEXT = new Set(['trim', 'upper', 'lower', 'title', 'capitalize', 'replace', 'indent', 'string']);
/** Filters that read a sequence, which may be undefined. */
const OF_SEQUENCE = new Set([
  'selectattr',
  'rejectattr',
  'select',
  'reject',
  'map',
  'list',
  'join',
  'unique',
  'sort',
  'items',
]);
/** Kinds of nodes that write their value. Others return null, or the text of a block. */
const WRITTEN = /Literal$|Expression$|^(Identifier|Ternary|Evaluated)$/;

/** Python's remainder, which has the sign of the divisor. */
const remainder = (a: number, b: number) => ((a % b) + b) % b;

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  "'": '&#39;',
  '"': '&#34;',
};
/** Text for HTML; marked text as it is. */
const escaped = (value: Value): string =>
  isMarkup(value) ? value.value : textOf(value).replace(/[&<>'"]/g, (character) => ENTITIES[character] as string);

/** Results of operators on texts, and of operators that compare. Undefined for other operands. Throws Error. */
function resultOf(operator: string, left: Value, right: Value): Value | undefined {
  const [isTextLeft, isTextRight] = [isText(left), isText(right)];
  switch (operator) {
    case '==':
      return flag(isEqual(left, right));
    case '!=':
      return flag(!isEqual(left, right));
    case '~':
      return text(textOf(left) + textOf(right));
    case 'in':
    case 'not in': {
      const found = isIn(left, right);
      return found === undefined ? undefined : flag(found === (operator === 'in'));
    }
    case '+':
      if (isMarkup(left) || isMarkup(right)) return markup(escaped(left) + escaped(right));
      if (isTextLeft === isTextRight) return undefined;
      throw new Error(
        `${kindOf(isTextLeft ? right : left)} cannot be appended to text: content may be expected as text`,
      );
    case '*':
      return isTextLeft && isNumber(right) ? text(left.value.repeat(Math.max(0, Number(right.value)))) : undefined;
    default: {
      const compare = isTextLeft && isTextRight ? COMPARISONS[operator] : undefined;
      return compare && flag(compare(orderOf(left.value, right.value)));
    }
  }
}

const COMPARISONS: Readonly<Record<string, (order: number) => boolean>> = {
  '<': (order) => order < 0,
  '>': (order) => order > 0,
  '<=': (order) => order <= 0,
  '>=': (order) => order >= 0,
};

/**
 * Filters that differ from those of the engine. A filter returns undefined for a value that the engine treats right.
 */
const FILTERS: Readonly<Record<string, (operand: Value) => Value | undefined>> = {
  length: lengthOf,
  count: lengthOf,
  items: (operand) => (isArray(operand) ? operand : undefined), // no items
  list: (operand) => (isArray(operand) ? undefined : array(itemsOf(operand) ?? [])),
  min: (operand) => (isArray(operand) ? extreme(operand.value, 'min') : undefined),
  max: (operand) => (isArray(operand) ? extreme(operand.value, 'max') : undefined),
  dictsort: (operand) => (isObject(operand) && keysOf(operand).every(isNumber) ? sortedByKey(operand) : undefined),
};

function lengthOf(operand: Value): Value | undefined {
  const items = itemsOf(operand);
  return items && made(items.length);
}

/** True if a filter of sequences gets an undefined value, which counts as an empty list. Some accept None, too. */
function isNoSequence(operand: Value, name: string): boolean {
  if (!OF_SEQUENCE.has(name)) return false;
  return isUndefined(operand) || (isNone(operand) && /attr$|^(select|reject|map)$/.test(name));
}

/** The engine with Python's semantics. */
export class PythonInterpreter extends Interpreter {
  override evaluate(node: Node | undefined, scope: Scope): Value {
    switch (node?.type) {
      case 'Evaluated':
        return (node as Evaluated).value;
      case 'BinaryExpression':
        return this.#binary(node, scope) ?? super.evaluate(node, scope);
      case 'MemberExpression':
        return this.#member(node, scope);
      case 'CallExpression':
        return this.#call(node, scope) ?? super.evaluate(node, scope);
      case 'TestExpression':
        return this.#test(node, scope) ?? super.evaluate(node, scope);
      case 'For':
        return super.evaluate(this.#loop(node, scope), scope);
      case 'LoopBody':
        return this.#iteration(node as LoopBody, scope);
      case 'Break':
      case 'Continue':
        throw new LoopControl(node.type === 'Break');
      case 'ObjectLiteral': {
        const entries = [...(node.value as Map<Node, Node>)].map(
          ([key, value]) => [this.evaluate(key, scope).value, this.evaluate(value, scope)] as const,
        );
        return Object.assign(made({}), { value: new Map(entries) });
      }
      default:
        return super.evaluate(node, scope);
    }
  }

  override evaluateBlock(nodes: readonly Node[], scope: Scope): Value {
    let written = '';
    try {
      for (const node of nodes) {
        const value = this.evaluate(node, scope);
        if (WRITTEN.test(node.type) || !isNone(value)) written += textOf(value);
      }
    } catch (error) {
      if (error instanceof LoopControl) error.written = written + error.written;
      throw error;
    }
    return text(written);
  }

  override applyFilter(operand: Value, filter: Node, scope: Scope): Value {
    const name: string = filter.type === 'Identifier' ? filter.value : filter.callee.value;
    if (OF_TEXT.has(name) && !isText(operand)) return this.applyFilter(text(textOf(operand)), filter, scope);
    if (name === 'safe') return markup(textOf(operand));
    if (name === 'trim') {
      const [characters] = filter.type === 'Identifier' ? [] : this.evaluateArguments(filter.args, scope)[0];
      return text(stripped(operand.value, characters?.value, true, true));
    }
    if (name === 'tojson')
      return text(super.applyFilter(withMarks(operand), filter, scope).value.replace(MARKED, '$1'));
    if (isNoSequence(operand, name)) return this.applyFilter(array([]), filter, scope);
    const known = FILTERS[name]?.(operand);
    if (known !== undefined) return known;
    const joinsTexts = name === 'join' && isArray(operand) && !hasAttribute(filter);
    const items = joinsTexts ? array(operand.value.map((item: Value) => text(textOf(item)))) : operand;
    return super.applyFilter(items, filter, scope);
  }

  /** Operators that differ from Python's. Undefined for others. */
  #binary(node: Node, scope: Scope): Value | undefined {
    const operator: string = node.operator.value;
    if (operator === 'and' || operator === 'or') return undefined;
    const [left, right] = [this.evaluate(node.left, scope), this.evaluate(node.right, scope)];
    const known = resultOf(operator, left, right);
    if (known !== undefined) return known;
    const isRemainder = operator === '%' && isNumber(left) && isNumber(right);
    const dividend = isRemainder ? made(remainder(Number(left.value), Number(right.value))) : left;
    return super.evaluate({ ...node, left: evaluated(dividend), right: evaluated(right) }, scope);
  }

  #member(node: Node, scope: Scope): Value {
    const object = this.evaluate(node.object, scope);
    const name = node.computed ? undefined : (node.property.value as string);
    if (isText(object) && name !== undefined && Object.hasOwn(methods, name))
      return made((...args: unknown[]) => methods[name]?.(object.value, ...args));
    // Python finds methods before keys, unless the name is in brackets.
    if (isObject(object) && name !== undefined && MAPPING.has(name)) {
      const method = (object as Value & { readonly builtins: ReadonlyMap<string, Value> }).builtins.get(name);
      if (method !== undefined) return method;
    }
    const isNumbered = node.computed && isObject(object) && node.property.type !== 'SliceExpression';
    if (!isNumbered) return super.evaluate({ ...node, object: evaluated(object) }, scope);
    const key = this.evaluate(node.property, scope);
    if (isText(key)) return super.evaluate({ ...node, object: evaluated(object), property: evaluated(key) }, scope);
    return (object.value as Map<unknown, Value>).get(key.value) ?? made(undefined);
  }

  /** Calls of `format` on text. */
  #call(node: Node, scope: Scope): Value | undefined {
    const { callee, args } = node;
    if (callee.type !== 'MemberExpression' || callee.computed || callee.property.value !== 'format') return undefined;
    const self = this.evaluate(callee.object, scope);
    if (!isText(self)) return undefined;
    const [values, named] = this.evaluateArguments(args, scope);
    return text(formatted(self.value, values, named));
  }

  #test(node: Node, scope: Scope): Value | undefined {
    const value = this.evaluate(node.operand, scope);
    const isSequence = isText(value) || isArray(value) || isObject(value) || isUndefined(value);
    const known: Readonly<Record<string, boolean>> = {
      iterable: isSequence,
      sequence: isSequence,
      number: isNumber(value),
      float: value.type === 'FloatValue',
    };
    const { value: name } = node.test;
    if (Object.hasOwn(known, name)) return flag(known[name] !== node.negate);
    return super.evaluate({ ...node, operand: evaluated(value) }, scope);
  }

  /** One pass of a loop. Variables that it sets are not those of the next one. */
  #iteration(node: LoopBody, scope: Scope): Value {
    if (node.isStopped) return text('');
    try {
      return this.evaluateBlock(node.body, new Environment(scope));
    } catch (error) {
      if (!(error instanceof LoopControl)) throw error;
      node.isStopped = error.isBreak;
      return text(error.written);
    }
  }

  /** A loop whose iterable is an array, as the engine needs it. */
  #loop(node: Node, scope: Scope): Node {
    const isFiltered = node.iterable.type === 'SelectExpression';
    const value = this.evaluate(isFiltered ? node.iterable.lhs : node.iterable, scope);
    const items = itemsOf(value);
    if (items === undefined) throw new Error(`${kindOf(value)} cannot be iterated over`);
    const isUnpacked = node.loopvar.type === 'TupleLiteral';
    const unpacked = isUnpacked ? items.map((item) => (isArray(item) ? array(item.value) : item)) : items;
    const evaluatedItems = evaluated(array(unpacked));
    const body: LoopBody = { type: 'LoopBody', body: node.body, isStopped: false };
    return { ...node, body: [body], iterable: isFiltered ? { ...node.iterable, lhs: evaluatedItems } : evaluatedItems };
  }
}

const evaluated = (value: Value): Evaluated => ({ type: 'Evaluated', value });
const kindOf = ({ type }: Value) => type.replace('Value', '').toLowerCase();
const orderOf = (a: string | number, b: string | number) => (a < b ? -1 : a > b ? 1 : 0);

/** Items of a value in a loop. Undefined for values that have none. */
function itemsOf(value: Value): Value[] | undefined {
  if (isArray(value)) return value.value;
  if (isObject(value)) return keysOf(value);
  if (isText(value)) return Array.from(value.value as string, text);
  return isUndefined(value) ? [] : undefined;
}

function hasAttribute(filter: Node): boolean {
  return filter.type !== 'Identifier' && filter.args.some((argument: Node) => argument.key?.value === 'attribute');
}

function extreme(items: readonly Value[], name: 'min' | 'max'): Value {
  const sign = name === 'min' ? 1 : -1;
  return [...items].sort((a, b) => sign * orderOf(a.value, b.value))[0] ?? made(undefined);
}

function sortedByKey(object: Value): Value {
  const entries = [...(object.value as Map<number, Value>)].sort(([a], [b]) => a - b);
  return array(entries.map(([key, item]) => array([made(key), item])));
}
