// Reads the metadata of a GGUF file: values of thirteen types, in order. The bytes are untrusted.

import { FormatError } from '../core/errors.js';
import { decodeText, type TextBytes } from '../core/utf8.js';
import { quote } from './dtypes.js';

/** A list in the metadata. Texts are decoded on demand, because vocabularies have hundreds of thousands of them. */
export type GgufArray = GgufNumbers | GgufTexts | readonly boolean[];
export type GgufNumbers =
  | Uint8Array
  | Int8Array
  | Uint16Array
  | Int16Array
  | Uint32Array
  | Int32Array
  | Float32Array
  | Float64Array
  | BigUint64Array
  | BigInt64Array;
/** 64-bit integers are numbers if they are exact. */
export type GgufValue = number | bigint | boolean | string | GgufArray;

/** A list of texts that are decoded on demand. Invalid UTF-8 becomes U+FFFD. */
export class GgufTexts implements TextBytes, Iterable<string> {
  /** Bytes between two texts, which hold the length of the second one. */
  readonly gap = 8;
  #starts: Uint32Array | undefined;

  constructor(
    readonly length: number,
    readonly bytes: Uint8Array,
  ) {}

  /** Start of each text, and the position after the last one. */
  get starts(): Uint32Array {
    this.#starts ??= startsOf(this);
    return this.#starts;
  }

  /** The text at an index; undefined beyond the last one. */
  at(index: number): string | undefined {
    const { starts, gap } = this;
    if (!(Number.isInteger(index) && index >= 0 && index < this.length)) return undefined;
    return decodeText(this.bytes, starts[index] as number, (starts[index + 1] as number) - gap);
  }

  /** The number of bytes of the text at an index, from 0 to below `length`. */
  bytesAt(index: number): number {
    return (this.starts[index + 1] as number) - (this.starts[index] as number) - this.gap;
  }

  *[Symbol.iterator](): Generator<string> {
    for (let i = 0; i < this.length; i++) yield this.at(i) as string;
  }

  toArray(): string[] {
    return Array.from(this);
  }
}

function startsOf({ length, bytes, gap }: GgufTexts): Uint32Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const starts = new Uint32Array(length + 1);
  starts[0] = gap;
  for (let i = 0, start = gap; i < length; i++) {
    start += view.getUint32(start - gap, true) + gap; // lengths were checked to have 32 bits
    starts[i + 1] = start;
  }
  return starts;
}

/** Thrown if more bytes are needed than were read. The caller then reads more of the file. */
export class MoreBytesNeeded extends Error {
  constructor(readonly wanted: number) {
    super(`expected ${wanted} bytes`);
  }
}

interface Kind {
  readonly BYTES_PER_ELEMENT: number;
  new (buffer: ArrayBuffer, byteOffset: number, length: number): GgufNumbers;
}

const NUMBERS: Readonly<Record<number, Kind>> = {
  0: Uint8Array,
  1: Int8Array,
  2: Uint16Array,
  3: Int16Array,
  4: Uint32Array,
  5: Int32Array,
  6: Float32Array,
  10: BigUint64Array,
  11: BigInt64Array,
  12: Float64Array,
};
const BOOL = 7;
const STRING = 8;
const ARRAY = 9;

const strictly = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** Reads values from the beginning of a file of `size` bytes, of which `bytes` are available. */
export class GgufCursor {
  position = 0;
  readonly #view: DataView;

  constructor(
    readonly bytes: Uint8Array,
    readonly size: number,
  ) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Throws FormatError unless the rest of the file can hold `count` items of at least `bytes` bytes each. */
  expect(what: string, count: number, bytes: number): void {
    const left = this.size - this.position;
    if (count * bytes > left)
      throw new FormatError(
        `${what} claims ${count} entries of at least ${bytes} bytes, but the file has only ${left} more`,
      );
  }

  uint32(what: string): number {
    return this.#view.getUint32(this.#take(what, 4), true);
  }

  /** Reads a 64-bit integer. Throws FormatError if a number cannot hold it exactly. */
  count(what: string): number {
    const offset = this.#take(what, 8);
    const high = this.#view.getUint32(offset + 4, true);
    const low = this.#view.getUint32(offset, true);
    const value = high === 0 ? low : low + 2 ** 32 * high; // stays an integer below 2^31, which is faster than a float
    if (Number.isSafeInteger(value)) return value;
    throw new FormatError(`${what} is ${this.#view.getBigUint64(offset, true)}, expected less than 2⁵³`);
  }

  text(what: string): string {
    const length = this.count(what);
    this.expect(what, length, 1);
    const start = this.#take(what, length);
    try {
      return strictly.decode(this.bytes.subarray(start, start + length));
    } catch (cause) {
      throw new FormatError(`${what} is not valid UTF-8`, { cause });
    }
  }

  value(key: string): GgufValue {
    const what = `metadata ${quote(key)}`;
    const type = this.uint32(what);
    if (type === BOOL) return this.#flags(what, 1)[0] as boolean;
    if (type === STRING) return this.text(what);
    if (type !== ARRAY) {
      const [value] = this.#numbers(what, type, 1);
      return typeof value === 'bigint' ? asNumber(value) : (value as number);
    }
    const inner = this.uint32(what);
    const count = this.count(what);
    if (inner === ARRAY) throw new FormatError(`${what} is a list of lists, expected one of plain values`);
    if (inner === BOOL) return this.#flags(what, count);
    return inner === STRING ? this.#texts(what, count) : this.#numbers(what, inner, count);
  }

  /** Skips a number of bytes and returns their start. */
  #take(what: string, bytes: number): number {
    const start = this.position;
    this.#need(what, start, bytes);
    this.position += bytes;
    return start;
  }

  #need(what: string, start: number, bytes: number): void {
    if (start + bytes > this.size) throw new FormatError(`the file ends at byte ${this.size}, within ${what}`);
    if (start + bytes > this.bytes.byteLength) throw new MoreBytesNeeded(start + bytes);
  }

  #numbers(what: string, type: number, count: number): GgufNumbers {
    const Kind = NUMBERS[type];
    if (Kind === undefined) throw new FormatError(`${what} is of type ${type}, expected one from 0 to 12`);
    const width = Kind.BYTES_PER_ELEMENT;
    this.expect(what, count, width);
    const start = this.#take(what, count * width);
    // The copy is aligned, and the header can be freed.
    const copy = new Uint8Array(this.bytes.subarray(start, start + count * width));
    return new Kind(copy.buffer, 0, count);
  }

  #flags(what: string, count: number): boolean[] {
    const bytes = this.#numbers(what, 0, count) as Uint8Array;
    if (bytes.some((byte) => byte > 1)) throw new FormatError(`${what} has a boolean that is neither 0 nor 1`);
    return Array.from(bytes, (byte) => byte === 1);
  }

  #texts(what: string, count: number): GgufTexts {
    this.expect(what, count, 8);
    const start = this.position;
    const view = this.#view;
    const have = Math.min(this.size, this.bytes.byteLength);
    let offset = start; // plain variables for speed: there may be hundreds of thousands of texts
    for (let i = 0; i < count; i++) {
      if (offset + 8 > have) this.#need(what, offset, 8);
      const length = view.getUint32(offset, true);
      const beyond = view.getUint32(offset + 4, true); // in units of 4 GiB
      offset += 8;
      if (beyond > 0 || offset + length > have) {
        this.position = offset;
        this.expect(what, length + 2 ** 32 * beyond, 1);
        if (beyond > 0) throw new FormatError(`${what} has a text of 4 GiB or more, expected less`);
        this.#need(what, offset, length);
      }
      offset += length;
    }
    this.position = offset;
    return new GgufTexts(count, new Uint8Array(this.bytes.subarray(start, this.position)));
  }
}

function asNumber(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
