// What stands in the metadata of a GGUF file: values of thirteen types, read one after another from bytes that a stranger wrote.

import { FormatError } from '../core/errors.js';
import { quote } from './dtypes.js';

/** A list in the metadata. Texts are decoded when they are asked for: vocabularies have hundreds of thousands. */
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
/** Integers of 64 bits are numbers where a number holds them exactly. */
export type GgufValue = number | bigint | boolean | string | GgufArray;

/** A list of texts, decoded whenever they are asked for. What is no UTF-8 becomes U+FFFD. */
export class GgufTexts implements Iterable<string> {
  readonly #view: DataView;
  /** Where each one begins, once one was asked for by its place. */
  #starts: Uint32Array | undefined;

  constructor(
    readonly length: number,
    private readonly bytes: Uint8Array,
  ) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** One of them; undefined beyond the last. */
  at(index: number): string | undefined {
    this.#starts ??= this.#places();
    const start = this.#starts[index];
    return start === undefined ? undefined : this.#decode(start, this.#endOf(start));
  }

  *[Symbol.iterator](): Generator<string> {
    let start = 0;
    for (let i = 0; i < this.length; i++) {
      const end = this.#endOf(start);
      yield this.#decode(start, end);
      start = end;
    }
  }

  toArray(): string[] {
    return Array.from(this);
  }

  #places(): Uint32Array {
    const starts = new Uint32Array(this.length);
    for (let i = 1; i < starts.length; i++) starts[i] = this.#endOf(starts[i - 1] as number);
    return starts;
  }

  #endOf(start: number): number {
    return start + 8 + this.#view.getUint32(start, true); // what was checked has no higher half
  }

  #decode(start: number, end: number): string {
    return shortText(this.bytes, start + 8, end) ?? leniently.decode(this.bytes.subarray(start + 8, end));
  }
}

const leniently = new TextDecoder('utf-8', { ignoreBOM: true });

/** A few characters of one to three bytes, which most tokens are, without the cost of a decoder's call; undefined for others. */
function shortText(bytes: Uint8Array, start: number, end: number): string | undefined {
  if (end - start > 36) return undefined;
  let text = '';
  for (let i = start; i < end; ) {
    const first = bytes[i++] as number;
    if (first < 0x80) {
      text += String.fromCharCode(first);
      continue;
    }
    const width = first >> 5 === 6 ? 2 : first >> 4 === 14 ? 3 : 0;
    if (width === 0 || i + width - 1 > end) return undefined;
    let code = first & (width === 2 ? 31 : 15);
    for (let left = width; left > 1; left--) {
      const next = bytes[i++] as number;
      if (next >> 6 !== 2) return undefined;
      code = (code << 6) | (next & 63);
    }
    if (code < (width === 2 ? 0x80 : 0x800) || code >> 11 === 27) return undefined; // longer than need be, or half a pair
    text += String.fromCharCode(code);
  }
  return text;
}

/** Thrown where the bytes at hand end before what is read: the file may have more. */
export class MoreBytes extends Error {
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

/** Reads values from the beginning of a file of `size` bytes, of which `bytes` are at hand. */
export class GgufCursor {
  at = 0;
  readonly #view: DataView;

  constructor(
    readonly bytes: Uint8Array,
    readonly size: number,
  ) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Throws FormatError unless `count` things of so many bytes at least can be in what is left of the file. */
  expect(what: string, count: number, bytes: number): void {
    const left = this.size - this.at;
    if (count * bytes > left)
      throw new FormatError(`${what} claims ${count} entries of ${bytes} bytes at least: the file has ${left} more`);
  }

  uint32(what: string): number {
    return this.#view.getUint32(this.#take(what, 4), true);
  }

  /** An integer of 64 bits. Throws FormatError for one that no number holds exactly. */
  count(what: string): number {
    const at = this.#take(what, 8);
    const value = this.#view.getUint32(at, true) + 2 ** 32 * this.#view.getUint32(at + 4, true);
    if (Number.isSafeInteger(value)) return value;
    throw new FormatError(`${what} is ${this.#view.getBigUint64(at, true)}, more than any file holds`);
  }

  text(what: string): string {
    const length = this.count(what);
    this.expect(what, length, 1);
    const start = this.#take(what, length);
    try {
      return strictly.decode(this.bytes.subarray(start, start + length));
    } catch (cause) {
      throw new FormatError(`${what} is not text in UTF-8`, { cause });
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

  /** Moves on by so many bytes and gives where they begin. */
  #take(what: string, bytes: number): number {
    const start = this.at;
    if (start + bytes > this.size) throw new FormatError(`the file ends at byte ${this.size}, within ${what}`);
    if (start + bytes > this.bytes.byteLength) throw new MoreBytes(start + bytes);
    this.at += bytes;
    return start;
  }

  #numbers(what: string, type: number, count: number): GgufNumbers {
    const Kind = NUMBERS[type];
    if (Kind === undefined) throw new FormatError(`${what} is of type ${type}, expected one from 0 to 12`);
    const width = Kind.BYTES_PER_ELEMENT;
    this.expect(what, count, width);
    const start = this.#take(what, count * width);
    const copy = Uint8Array.from(this.bytes.subarray(start, start + count * width)); // aligned, and the header need not stay
    return new Kind(copy.buffer, 0, count);
  }

  #flags(what: string, count: number): boolean[] {
    const bytes = this.#numbers(what, 0, count) as Uint8Array;
    if (bytes.some((byte) => byte > 1)) throw new FormatError(`${what} has a truth value that is neither 0 nor 1`);
    return Array.from(bytes, (byte) => byte === 1);
  }

  #texts(what: string, count: number): GgufTexts {
    this.expect(what, count, 8);
    const start = this.at;
    for (let i = 0; i < count; i++) {
      const at = this.#take(what, 8);
      const length = this.#view.getUint32(at, true) + 2 ** 32 * this.#view.getUint32(at + 4, true);
      this.expect(what, length, 1);
      if (length >= 2 ** 32) throw new FormatError(`${what} has a text of ${length} bytes`);
      this.#take(what, length);
    }
    return new GgufTexts(count, Uint8Array.from(this.bytes.subarray(start, this.at)));
  }
}

function asNumber(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
