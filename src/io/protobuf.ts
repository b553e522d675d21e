/**
 * The wire format of protocol buffers (https://protobuf.dev/programming-guides/encoding), read field by field. Files of
 * models have gigabytes in some fields, so that nothing is read before it is asked for.
 */

import { FormatError } from '../core/errors.js';
import { type ByteSource, bytesOf } from './byte-source.js';

/** A field of a message. `value` is that of a number; `start` and `end` are where the bytes of others lie in the file. */
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

/** Bytes that are read at a time where no field says how many are needed. */
const WINDOW = 1 << 16;
/** A tag and a length: ten bytes each at most. */
const HEADER = 20;

export class ProtobufReader {
  #window: Uint8Array = new Uint8Array();
  #from = 0;

  constructor(private readonly source: ByteSource) {}

  /** The fields of the message that lies between two positions. Throws FormatError where its lengths do not fit. */
  async *fields(start: number, end: number): AsyncGenerator<Field> {
    for (let at = start; at < end; ) {
      const { bytes, offset } = await this.#near(at);
      const cursor = new Varints(bytes, offset, Math.min(bytes.length, offset + end - at));
      const tag = cursor.next();
      const wire = tag % 8;
      const number = Math.floor(tag / 8);
      let value = 0;
      let length = 0;
      if (wire === VARINT) value = cursor.next();
      else if (wire === BYTES) length = cursor.next();
      else if (wire === FIXED64) length = 8;
      else if (wire === FIXED32) length = 4;
      else throw new FormatError(`byte ${at}: there is no wire type ${wire}, expected a message of protobuf`);
      const first = at + cursor.at - offset;
      if (!(first + length <= end))
        throw new FormatError(`byte ${at}: field ${number} has ${length} bytes, past the end`);
      yield { number, value, start: first, end: first + length };
      at = first + length;
    }
  }

  /** The bytes of a field. They are valid until something else is read. */
  async bytes({ start, end }: Field, limit: number): Promise<Uint8Array> {
    if (end - start > limit) throw new FormatError(`byte ${start}: ${end - start} bytes, expected at most ${limit}`);
    return bytesOf(this.source, start, end - start);
  }

  async text(field: Field): Promise<string> {
    return new TextDecoder().decode(await this.bytes(field, MAX_TEXT));
  }

  /** Integers of a repeated field, which is packed into bytes or has one of them. */
  async integers(field: Field, limit: number): Promise<readonly number[]> {
    if (field.end === field.start) return [field.value];
    const bytes = await this.bytes(field, limit);
    const cursor = new Varints(bytes, 0, bytes.length);
    const values: number[] = [];
    while (cursor.at < bytes.length) values.push(cursor.next());
    return values;
  }

  /** Bytes that include those from a position on, enough for a tag and a length. */
  async #near(position: number): Promise<{ bytes: Uint8Array; offset: number }> {
    const isInside = position >= this.#from && position + HEADER <= this.#from + this.#window.length;
    const isAtEnd = position >= this.#from && this.#from + this.#window.length === this.source.size;
    if (!isInside && !isAtEnd) {
      this.#window = await bytesOf(this.source, position, Math.min(WINDOW, this.source.size - position));
      this.#from = position;
    }
    return { bytes: this.#window, offset: position - this.#from };
  }
}

const MAX_TEXT = 1 << 16;

/** Integers of seven bits a byte. Negative ones, which take ten bytes, become those of two's complement. */
class Varints {
  constructor(
    private readonly bytes: Uint8Array,
    public at: number,
    private readonly end: number,
  ) {}

  next(): number {
    let value = 0;
    let factor = 1;
    for (let i = 0; i < 10; i++) {
      if (this.at >= this.end) throw new FormatError('a number of protobuf is cut off');
      const byte = this.bytes[this.at++] as number;
      value += (byte & 127) * factor;
      factor *= 128;
      if (byte < 128) return value < 2 ** 63 ? value : value - 2 ** 64;
    }
    throw new FormatError('a number of protobuf has more than ten bytes');
  }
}
