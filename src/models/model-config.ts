// Typed and complete settings of a config.json, as families read them.

import { describeValue, isObject } from '../core/check.js';
import { FormatError } from '../core/errors.js';

/** Content of config.json with its original keys. */
export type Json = Readonly<Record<string, unknown>>;

/** Maximum number of layers. A file that claims more would take all memory before its weights are found missing. */
const MAX_LAYERS = 10_000;

const maxOf = (name: string): number => (name.endsWith('layers') ? MAX_LAYERS : 2 ** 31 - 1);

/** Reads settings by name. Throws FormatError for missing ones and those of another type. */
export class ModelConfig {
  constructor(readonly values: Json) {}

  /** The `model_type`. */
  get type(): string {
    return this.text('model_type');
  }

  /** A size: an integer from 1 on. */
  size(name: string): number {
    const isSize = (value: unknown): value is number =>
      Number.isInteger(value) && (value as number) > 0 && (value as number) <= maxOf(name);
    const expected = name.endsWith('layers') ? `a positive integer up to ${MAX_LAYERS}` : 'a positive integer';
    return this.#read(name, isSize, expected);
  }

  /** A list of sizes, as many as `count` if it is given. */
  sizes(name: string, count?: number): readonly number[] {
    const sizes = this.list(name).map((value, i) =>
      new ModelConfig({ [`${name}[${i}]`]: value }).size(`${name}[${i}]`),
    );
    if (sizes.length > 0 && (count === undefined || sizes.length === count)) return sizes;
    const expected = count === undefined ? 'at least one size' : `${count} sizes`;
    throw new FormatError(`config.json: ${name} has ${sizes.length} sizes, expected ${expected}`);
  }

  number(name: string): number {
    return this.#read(name, (value): value is number => Number.isFinite(value), 'a number');
  }

  /** A number; null if it is null or missing. */
  numberOrNull(name: string): number | null {
    return this.values[name] == null ? null : this.number(name);
  }

  /** A size; null if it is null or missing. */
  sizeOrNull(name: string): number | null {
    return this.values[name] == null ? null : this.size(name);
  }

  text(name: string): string {
    return this.#read(name, (value): value is string => typeof value === 'string', 'a text');
  }

  /** True if the setting is true; false if it is false, missing or null. */
  flag(name: string): boolean {
    return (this.values[name] ?? false) === true;
  }

  list(name: string): readonly unknown[] {
    return this.#read(name, (value): value is unknown[] => Array.isArray(value), 'an array');
  }

  object(name: string): Json {
    return this.#read(name, isObject, 'an object');
  }

  /** A list of token ids, or a single one; empty if it is null or missing. */
  ids(name: string): readonly number[] {
    const ids = [this.values[name] ?? []].flat();
    if (ids.every(Number.isInteger)) return ids as number[];
    throw new FormatError(`config.json: ${name} is ${describeValue(this.values[name])}, expected an id, or several`);
  }

  /** Maps a text to its meaning. Throws FormatError for an unknown text. */
  oneOf<T>(name: string, meanings: Readonly<Record<string, T>>): T {
    const text = this.text(name);
    if (Object.hasOwn(meanings, text)) return meanings[text] as T;
    const known = Object.keys(meanings).join(', ');
    throw new FormatError(`config.json: ${name} is ${describeValue(text)}, expected one of ${known}`);
  }

  /** The meaning of entry number `i` of a list of texts. Throws FormatError for one that is not known. */
  choice<T>(name: string, i: number, meanings: Readonly<Record<string, T>>): T {
    return new ModelConfig({ [`${name}[${i}]`]: this.list(name)[i] }).oneOf(`${name}[${i}]`, meanings);
  }

  /** Throws FormatError if a setting is given and differs from the only supported value. */
  expect(name: string, supported: string | number | boolean): void {
    const value = this.values[name] ?? supported;
    if (value === supported) return;
    throw new FormatError(
      `config.json: ${name} is ${describeValue(value)}, expected ${describeValue(supported)}: nothing else is supported`,
    );
  }

  #read<T>(name: string, accepts: (value: unknown) => value is T, expected: string): T {
    const value = this.values[name];
    if (accepts(value)) return value;
    throw new FormatError(`config.json: ${name} is ${describeValue(value)}, expected ${expected}`);
  }
}

/** A number of an incomplete config. Throws FormatError for another type, which must not become a shape. */
export function numberIn(config: Json, name: string): number {
  const value = config[name];
  if (typeof value === 'number' && Number.isFinite(value) && value >= 0 && value <= maxOf(name)) return value;
  const max = name.endsWith('layers') ? MAX_LAYERS : '2³¹ − 1';
  throw new FormatError(`config.json: ${name} is ${describeValue(value)}, expected a number from 0 to ${max}`);
}

/** A list with one element for each of `num_hidden_layers`. */
export function eachLayer<T>(config: Json, of: (layer: number) => T): T[] {
  return Array.from({ length: numberIn(config, 'num_hidden_layers') }, (_, layer) => of(layer));
}
