// Reads the settings of a preprocessor_config.json. The file is untrusted.

import { describeValue } from '../../core/check.js';
import { FormatError } from '../../core/errors.js';

/** The content of a file. */
export type Json = Readonly<Record<string, unknown>>;

/** Reads settings by name. Missing settings have transformers' defaults. Throws FormatError for invalid values. */
export class Settings {
  constructor(
    /** Name of the file, for messages. */
    private readonly where: string,
    private readonly json: Json,
  ) {}

  boolean(name: string, fallback: boolean): boolean {
    return this.#checked(name, fallback, (value): value is boolean => typeof value === 'boolean', 'true or false');
  }

  number(name: string, fallback: number): number {
    return this.#checked(name, fallback, (value): value is number => Number.isFinite(value), 'a number');
  }

  /** A count, such as of pixels, up to a limit that no real file exceeds. */
  count(name: string, fallback: number, max = 1 << 20): number {
    const isCount = (value: unknown): value is number =>
      Number.isInteger(value) && (value as number) > 0 && (value as number) <= max;
    return this.#checked(name, fallback, isCount, `an integer from 1 to ${max}`);
  }

  /** A number for each channel. A single number applies to all three. */
  channels(name: string, fallback: readonly number[]): readonly number[] {
    const value = this.json[name] ?? fallback;
    const perChannel = typeof value === 'number' ? [value, value, value] : value;
    if (Array.isArray(perChannel) && perChannel.length === 3 && perChannel.every((number) => Number.isFinite(number)))
      return perChannel;
    return this.refuse(name, value, 'three numbers, for red, green and blue');
  }

  refuse(name: string, value: unknown, expected: string): never {
    throw new FormatError(`${this.where}: ${name} is ${describeValue(value)}, expected ${expected}`);
  }

  #checked<T>(name: string, fallback: T, accepts: (value: unknown) => value is T, expected: string): T {
    const value = this.json[name] ?? fallback;
    return accepts(value) ? value : this.refuse(name, value, expected);
  }
}
