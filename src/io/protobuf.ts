/**
 * Reads the wire format of protocol buffers (https://protobuf.dev/programming-guides/encoding), field by field. Some
 * fields have gigabytes, so data is read only on demand.
 */

import { FormatError } from '../core/errors.js';
import { type ByteSource, bytesOf } from './byte-source.js';

/** A field of a message. Numeric fields have a `value`; for others, `start` and `end` are the position of the bytes. */
export interface Field {
  readonly number: number;
  readonly value: number;
  readonly start: number;
  readonly end: number;
}

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

/** Number of bytes to read at a time while the length is unknown. */
const WINDOW = 1 << 16;
/** Maximum bytes of a tag and a length: ten each. */
const HEADER = 20;

export class ProtobufReader {
  #window: Uint8Array = new Uint8Array();
  #from = 0;

  constructor(private readonly source: ByteSource) {}

  /** Yields the fields of the message between two positions. Throws FormatError if lengths do not fit. */
  async *fields(start: number, end: number): AsyncGenerator<Field> {
    for (let position = start; position < end; ) {
      const { bytes, offset } = await this.#near(position);
      const cursor = new Varints(bytes, offset, Math.min(bytes.length, offset + end - position));
      const tag = cursor.next();
      const wire = tag % 8;
      const number = Math.floor(tag / 8);
      let value = 0;
      let length = 0;
      if (wire === VARINT) value = cursor.next();
      else if (wire === BYTES) length = cursor.next();
      else if (wire === FIXED64) length = 8;
      else if (wire === FIXED32) length = 4;
      else throw new FormatError(`byte ${position}: wire type ${wire} does not exist, expected a protobuf message`);
      const first = position + cursor.position - offset;
      if (!(first + length <= end))
        throw new FormatError(`byte ${position}: field ${number} has ${length} bytes, past the end`);
      yield { number, value, start: first, end: first + length };
      position = first + length;
    }
  }

  /**
   * Returns the bytes of a field, which are valid until the next read. Throws FormatError if there are more than
   * `limit`.
   */
  async bytes({ start, end }: Field, limit: number): Promise<Uint8Array> {
    if (end - start > limit) throw new FormatError(`byte ${start}: ${end - start} bytes, expected at most ${limit}`);
    return bytesOf(this.source, start, end - start);
  }

  async text(field: Field): Promise<string> {
    return new TextDecoder().decode(await this.bytes(field, MAX_TEXT));
  }

  /** Returns the integers of a repeated field, packed or single. */
  async integers(field: Field, limit: number): Promise<readonly number[]> {
    if (field.end === field.start) return [field.value];
    const bytes = await this.bytes(field, limit);
    const cursor = new Varints(bytes, 0, bytes.length);
    const values: number[] = [];
    while (cursor.position < bytes.length) values.push(cursor.next());
    return values;
  }

  /** Returns the bytes from a position on, enough for a tag and a length. */
  async #near(position: number): Promise<{ bytes: Uint8Array; offset: number }> {
    const isInside = position >= this.#from && position + HEADER <= this.#from + this.#window.length;
    const isAtEnd = position >= this.#from && this.#from + this.#window.length === this.source.size;
    if (!isInside && !isAtEnd) {
      this.#window = await bytesOf(
        this.source,
        position,
        Math.min(this.source.window ?? WINDOW, this.source.size - position),
      );
      this.#from = position;
    }
    return { bytes: this.#window, offset: position - this.#from };
  }
}

const MAX_TEXT = 1 << 16;
const PART = 1 << 28;
const joined = (low: number, middle: number, high: number) => (high * PART + middle) * PART + low;

/** Reads integers of seven bits per byte. Negative ones take ten bytes in two's complement. */
class Varints {
  constructor(
    private readonly bytes: Uint8Array,
    public position: number,
    private readonly end: number,
  ) {}

  next(): number {
    // Parts of 28, 28 and 8 bits: a float has not enough for all 64 of a negative number.
    let [low, middle, high] = [0, 0, 0];
    for (let i = 0; i < 10; i++) {
      if (this.position >= this.end) throw new FormatError('a protobuf number is cut off');
      const byte = this.bytes[this.position++] as number;
      const bits = (byte & 127) << (7 * (i % 4));
      if (i < 4) low |= bits;
      else if (i < 8) middle |= bits;
      else high |= bits;
      if (byte >= 128) continue;
      const isNegative = (high & 128) !== 0;
      if (!isNegative) return joined(low, middle, high & 127);
      return -1 - joined(PART - 1 - low, PART - 1 - middle, 127 - (high & 127));
    }
    throw new FormatError('a protobuf number has more than ten bytes');
  }
}
