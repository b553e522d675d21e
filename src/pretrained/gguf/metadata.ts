import { describeValue } from '../../core/check.js';
import { FormatError } from '../../core/errors.js';
import type { Gguf } from '../../io/gguf.js';
import { type GgufNumbers, GgufTexts, type GgufValue } from '../../io/gguf-values.js';

/** Reads the metadata of a GGUF file by name and type. Throws FormatError for values of another type. */
export class GgufMetadata {
  readonly #values: ReadonlyMap<string, GgufValue>;
  /** The prefix of many names. */
  readonly architecture: string;

  /** `architecture`: the prefix of names, if it is not the value of `general.architecture`. */
  constructor({ metadata }: Gguf, architecture?: string) {
    this.#values = metadata;
    this.architecture =
      architecture ?? this.text('general.architecture') ?? refuse('general.architecture', undefined, 'a text');
  }

  has(name: string): boolean {
    return this.#values.has(name);
  }

  number(name: string): number | undefined {
    const value = this.#values.get(name);
    if (value === undefined || (typeof value === 'number' && Number.isFinite(value))) return value;
    return refuse(name, value, 'a number');
  }

  /** An index of an array, or a size: 0 or more. */
  whole(name: string): number | undefined {
    const value = this.number(name);
    return value === undefined || (Number.isInteger(value) && value >= 0) ? value : refuse(name, value, 'an integer');
  }

  flag(name: string): boolean | undefined {
    const value = this.#values.get(name);
    return value === undefined || typeof value === 'boolean' ? value : refuse(name, value, 'true or false');
  }

  text(name: string): string | undefined {
    const value = this.#values.get(name);
    return value === undefined || typeof value === 'string' ? value : refuse(name, value, 'a text');
  }

  texts(name: string): GgufTexts | undefined {
    const value = this.#values.get(name);
    if (value === undefined) return undefined;
    return value instanceof GgufTexts ? value : refuse(name, value, 'a list of texts');
  }

  /** A list of numbers, with at least `count` entries if that is known. */
  numbers(name: string, count = 0): Exclude<GgufNumbers, BigUint64Array | BigInt64Array> | undefined {
    const value = this.#values.get(name);
    if (value === undefined) return undefined;
    const isList = ArrayBuffer.isView(value) && !(value instanceof BigUint64Array || value instanceof BigInt64Array);
    if (!isList) return refuse(name, value, 'a list of numbers');
    return value.length >= count ? value : refuse(name, `${value.length} numbers`, `${count} at least`);
  }

  /**
   * Returns a number of the architecture, such as `llama.block_count`. A list with an entry for each layer is accepted
   * if all entries are equal.
   */
  architectureNumber(name: string): number | undefined {
    const full = `${this.architecture}.${name}`;
    const value = this.#values.get(full);
    if (!ArrayBuffer.isView(value)) return this.number(full);
    const list = Array.from(value as Uint32Array, Number);
    if (list.length > 0 && list.every((entry) => entry === list[0])) return list[0];
    throw new FormatError(`metadata ${full} differs from layer to layer: such models are not supported`);
  }

  /** A number of the architecture for each layer; undefined if it is missing, or the same for all layers. */
  listed(name: string): readonly number[] | undefined {
    const value = this.#values.get(`${this.architecture}.${name}`);
    return ArrayBuffer.isView(value) ? Array.from(value as Uint32Array, Number) : undefined;
  }

  /** A required number of the architecture. */
  needed(name: string): number {
    return this.architectureNumber(name) ?? refuse(`${this.architecture}.${name}`, undefined, 'a number');
  }

  /** The layers with a window: a list of booleans, or the distance between layers without one. */
  pattern(name: string): number | readonly boolean[] | undefined {
    const full = `${this.architecture}.${name}`;
    const value = this.#values.get(full);
    if (Array.isArray(value)) return value as boolean[];
    return ArrayBuffer.isView(value)
      ? Array.from(value as Uint32Array, (flag) => Number(flag) !== 0)
      : this.number(full);
  }
}

function refuse(name: string, value: unknown, expected: string): never {
  const described = value === undefined ? 'missing' : describeValue(value);
  throw new FormatError(`metadata ${name} is ${described}, expected ${expected}`);
}
