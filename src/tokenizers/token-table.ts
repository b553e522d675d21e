import { FormatError } from '../core/errors.js';
import { type TextBytes, wellFormed, writeText } from '../core/utf8.js';
import { KeyedHash } from './keyed-hash.js';

/** Maps tokens to numbers, with the methods of a Map. */
export interface TokenIds extends Iterable<[token: string, id: number]> {
  readonly size: number;
  get(token: string): number | undefined;
  has(token: string): boolean;
}

/**
 * Tokens numbered in the order of a file, and looked up in the file's bytes. The table takes 12 bytes per token; an
 * array and a Map of strings take 120. Strings are made only on demand, so the garbage collector has little to
 * traverse.
 */
export class TokenTable implements TokenIds {
  readonly size: number;
  #longest = 0;
  #texts: TextBytes;
  /** Token numbers + 1, placed by the hash of the token (open addressing); 0 is an empty slot. */
  readonly #slots: Int32Array;
  /** Each table has its own key. A hostile file therefore cannot choose tokens that collide and take quadratic time. */
  readonly #hash = new KeyedHash();
  /** Recent results: looking up a string in a Map is faster than hashing its bytes. */
  readonly #recent = new Map<string, number>();
  /** The UTF-8 form of the token that is looked up. */
  #bytes = new Uint8Array(256);

  /**
   * An empty text becomes `[EMPTY_n]`, where n is its number. Throws FormatError with the list's name for duplicates.
   */
  constructor(texts: TextBytes, name: string, isFilled = true) {
    this.size = texts.length;
    this.#texts = texts;
    this.#slots = new Int32Array(2 ** Math.ceil(Math.log2(2 * texts.length + 2)));
    if (isFilled) for (const _ of this.#fill(name));
  }

  /** Like the constructor, but pauses after some tokens. */
  static *inParts(texts: TextBytes, name: string): Generator<undefined, TokenTable> {
    const table = new TokenTable(texts, name, false);
    yield* table.#fill(name);
    return table;
  }

  /** Length of the longest token in bytes. */
  get longest(): number {
    return this.#longest;
  }

  *#fill(name: string): Generator<undefined, void> {
    this.#texts = yield* wellFormed(this.#texts, (text, id) => text || `[EMPTY_${id}]`);
    const { bytes, starts, gap } = this.#texts;
    for (let id = 0; id < this.size; id++) {
      const start = starts[id] as number;
      const end = (starts[id + 1] as number) - gap;
      const slot = this.#slotOf(bytes, start, end, end, end);
      if (this.#slots[slot] !== 0) throw new FormatError(`${name} has ${JSON.stringify(this.at(id))} twice`);
      this.#slots[slot] = id + 1;
      this.#longest = Math.max(this.#longest, end - start);
      if (id % TOKENS_A_SLICE === TOKENS_A_SLICE - 1) yield;
    }
  }

  get(token: string): number | undefined {
    const known = this.#recent.get(token);
    if (known !== undefined) return known;
    const found = this.find(token);
    if (found === undefined) return undefined;
    if (this.#recent.size === RECENT) this.#recent.clear();
    this.#recent.set(token, found);
    return found;
  }

  /** Like `get`, without caching the result. For tokens that are unlikely to be looked up again. */
  find(token: string): number | undefined {
    if (3 * token.length > this.#bytes.length) this.#bytes = new Uint8Array(6 * token.length);
    return this.findBytes(this.#bytes, 0, writeText(token, this.#bytes));
  }

  /** Returns the number of the token made of two ranges of bytes; the second one is empty by default. */
  findBytes(bytes: Uint8Array, start: number, end: number, start2 = end, end2 = end): number | undefined {
    const found = this.#slots[this.#slotOf(bytes, start, end, start2, end2)] as number;
    return found === 0 ? undefined : found - 1;
  }

  has(token: string): boolean {
    return this.get(token) !== undefined;
  }

  /** Returns the token with this number; undefined if there is none. */
  at(id: number): string | undefined {
    return this.#texts.at(id);
  }

  *[Symbol.iterator](): Generator<[string, number]> {
    for (let id = 0; id < this.size; id++) yield [this.at(id) as string, id];
  }

  #slotOf(bytes: Uint8Array, start: number, end: number, start2: number, end2: number): number {
    const slots = this.#slots;
    for (let slot = this.#hash.ofBytes(bytes, start, end, start2, end2); ; slot++) {
      const index = slot & (slots.length - 1);
      const found = slots[index] as number;
      if (found === 0 || this.#is(found - 1, bytes, start, end, start2, end2)) return index;
    }
  }

  #is(id: number, bytes: Uint8Array, start: number, end: number, start2: number, end2: number): boolean {
    const { bytes: stored, starts, gap } = this.#texts;
    let from = starts[id] as number;
    if ((starts[id + 1] as number) - gap - from !== end - start + end2 - start2) return false;
    for (let index = start; index < end; index++) if (stored[from++] !== bytes[index]) return false;
    for (let index = start2; index < end2; index++) if (stored[from++] !== bytes[index]) return false;
    return true;
  }
}

/** Number of tokens that are added to a table before a pause. */
const TOKENS_A_SLICE = 4096;

/** Maximum number of recent results. */
const RECENT = 1 << 12;
