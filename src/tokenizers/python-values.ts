// Values of templates as Python has them: as text, and compared.

import { Environment as JinjaEnvironment } from '@huggingface/jinja';
import { floatAsPython, isSmallFraction, quotedAsPython } from './python-quote.js';

/** A value of the engine. Its classes are not exported. */
export interface Value {
  readonly type: string;
  // biome-ignore lint/suspicious/noExplicitAny: its kind follows from `type`
  value: any;
}

export interface Scope {
  set(name: string, value: unknown): Value;
}

export const Environment = JinjaEnvironment as unknown as new (
  parent?: Scope,
) => Scope & { readonly tests: Map<string, (value: Value) => boolean> };
/** A value of the engine for one of JavaScript. Functions take plain values. */
export const made = (plain: unknown): Value => new Environment().set('value', plain);
export const text = (plain: string) => made(plain);
export const flag = (plain: boolean) => made(plain);
/** Text that `safe` marked. Text that is joined to it is escaped for HTML, as by Jinja. */
export const markup = (plain: string) => Object.assign(text(plain), { isMarkup: true });
export const isMarkup = (value: Value) => 'isMarkup' in value;
export const array = (items: readonly Value[]) => Object.assign(made([]), { value: items });

export const isText = ({ type }: Value) => type === 'StringValue';
export const isArray = ({ type }: Value) => type === 'ArrayValue' || type === 'TupleValue';
export const isObject = ({ type }: Value) => type === 'ObjectValue' || type === 'KeywordArgumentsValue';
export const isNumber = ({ type }: Value) =>
  type === 'IntegerValue' || type === 'FloatValue' || type === 'BooleanValue';
export const isNone = ({ type }: Value) => type === 'NullValue';
export const isUndefined = ({ type }: Value) => type === 'UndefinedValue';

/** Keys of an object, which may be numbers. */
export const keysOf = (object: Value): Value[] => [...(object.value as Map<unknown, Value>).keys()].map(made);

/** `str(value)` of Python. Undefined values become empty texts, as in Jinja. */
export function textOf(value: Value): string {
  if (isText(value)) return value.value;
  return isUndefined(value) ? '' : representation(value);
}

/** `repr(value)` of Python. */
function representation(value: Value): string {
  if (isText(value)) return quotedAsPython(value.value);
  if (isNone(value)) return 'None';
  if (isUndefined(value)) return 'Undefined';
  if (value.type === 'BooleanValue') return value.value ? 'True' : 'False';
  if (value.type === 'FloatValue') return floatAsPython(value.value);
  if (value.type === 'TupleValue') {
    const items = (value.value as Value[]).map(representation);
    return items.length === 1 ? `(${items[0]},)` : `(${items.join(', ')})`;
  }
  if (isArray(value)) return `[${(value.value as Value[]).map(representation).join(', ')}]`;
  if (!isObject(value)) return String(value.value);
  const entries = [...(value.value as Map<unknown, Value>)];
  return `{${entries.map(([key, item]) => `${representation(made(key))}: ${representation(item)}`).join(', ')}}`;
}

export const MARKED = /"\\u0000small ([^"]*)"/g;
/** The value with small fractions as marked texts, which have the digits of Python. */
export function withMarks(source: Value): Value {
  const isSmall = source.type === 'FloatValue' && isSmallFraction(source.value);
  if (isSmall) return text(`\0small ${floatAsPython(source.value)}`);
  if (!isArray(source) && !isObject(source)) return source;
  const value = isArray(source)
    ? source.value.map(withMarks)
    : new Map([...(source.value as Map<unknown, Value>)].map(([key, item]) => [key, withMarks(item)]));
  return Object.assign(Object.create(Object.getPrototypeOf(source)), source, { value });
}

/** `left == right` of Python. */
export function isEqual(left: Value, right: Value): boolean {
  if (isNumber(left) && isNumber(right)) return Number(left.value) === Number(right.value);
  if (isArray(left) && isArray(right))
    return (
      left.value.length === right.value.length &&
      left.value.every((item: Value, i: number) => isEqual(item, right.value[i]))
    );
  if (isObject(left) && isObject(right))
    return (
      left.value.size === right.value.size &&
      [...(left.value as Map<unknown, Value>)].every(([key, item]) => {
        const other = (right.value as Map<unknown, Value>).get(key);
        return other !== undefined && isEqual(item, other);
      })
    );
  return left.type === right.type && left.value === right.value;
}

/** `left in right` of Python; undefined for kinds that Python refuses. */
export function isIn(left: Value, right: Value): boolean | undefined {
  if (isUndefined(right)) return false;
  if (isArray(right)) return (right.value as Value[]).some((item) => isEqual(left, item));
  if (isObject(right)) return keysOf(right).some((key) => isEqual(left, key));
  return isText(right) && isText(left) ? right.value.includes(left.value) : undefined;
}
