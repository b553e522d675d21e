import { FormatError } from '../core/errors.js';
import { type TextBytes, wellFormed, writeText } from '../core/utf8.js';

/** Tokens and their numbers, as a Map has them. */
export interface TokenIds extends Iterable<[token: string, id: number]> {
  readonly size: number;
  get(token: string): number | undefined;
  has(token: string): boolean;
}

/**
 * Tokens numbered as they come, found in the bytes of a file: 12 bytes for each beside those, where an array and a Map of strings take
 * 120, no string is made of one that nobody asks for, and a collection of garbage has nothing to walk through.
 */
export class TokenTable implements TokenIds {
  readonly size: number;
  /** Bytes of the longest. */
  readonly longest: number;
  readonly #texts: TextBytes;
  /** Numbers + 1 by the hash of tokens: open addressing, 0 is an empty slot. */
  readonly #slots: Int32Array;
  /** Another one in each table, so that no file can be written whose tokens all have one hash, and take hours. */
  readonly #seed = randomInt32();
  /** Some that were asked for: a Map remembers what it made of a text. */
  readonly #recent = new Map<string, number>();
  /** Of what is looked for. */
  #bytes = new Uint8Array(256);

  /** An empty text is `[EMPTY_` with its number and `]`. Throws FormatError, which names the list, for a token that is there twice. */
  constructor(given: TextBytes, name: string) {
    this.size = given.length;
    this.#texts = wellFormed(given, (text, id) => text || `[EMPTY_${id}]`);
    this.#slots = new Int32Array(2 ** Math.ceil(Math.log2(2 * given.length + 2)));
    const { bytes, starts, gap } = this.#texts;
    let longest = 0;
    for (let id = 0; id < this.size; id++) {
      const start = starts[id] as number;
      const end = (starts[id + 1] as number) - gap;
      const slot = this.#slotOf(bytes, start, end, end, end);
      if (this.#slots[slot] !== 0) throw new FormatError(`${name} has ${JSON.stringify(this.at(id))} twice`);
      this.#slots[slot] = id + 1;
      longest = Math.max(longest, end - start);
    }
    this.longest = longest;
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

  /** As `get`, of tokens that hardly come again. */
  find(token: string): number | undefined {
    if (3 * token.length > this.#bytes.length) this.#bytes = new Uint8Array(6 * token.length);
    return this.findBytes(this.#bytes, 0, writeText(token, this.#bytes));
  }

  /** The number of the token that two ranges of bytes make together; by default the second is empty. */
  findBytes(bytes: Uint8Array, start: number, end: number, start2 = end, end2 = end): number | undefined {
    const found = this.#slots[this.#slotOf(bytes, start, end, start2, end2)] as number;
    return found === 0 ? undefined : found - 1;
  }

  has(token: string): boolean {
    return this.get(token) !== undefined;
  }

  /** The token of a number; undefined if there is none. */
  at(id: number): string | undefined {
    return this.#texts.at(id);
  }

  *[Symbol.iterator](): Generator<[string, number]> {
    for (let id = 0; id < this.size; id++) yield [this.at(id) as string, id];
  }

  #slotOf(bytes: Uint8Array, start: number, end: number, start2: number, end2: number): number {
    const slots = this.#slots;
    const hash = fnv1a(fnv1a(this.#seed, bytes, start, end), bytes, start2, end2);
    for (let slot = hash ^ (hash >>> 15); ; slot++) {
      const at = slot & (slots.length - 1);
      const found = slots[at] as number;
      if (found === 0 || this.#is(found - 1, bytes, start, end, start2, end2)) return at;
    }
  }

  #is(id: number, bytes: Uint8Array, start: number, end: number, start2: number, end2: number): boolean {
    const { bytes: own, starts, gap } = this.#texts;
    let from = starts[id] as number;
    if ((starts[id + 1] as number) - gap - from !== end - start + end2 - start2) return false;
    for (let at = start; at < end; at++) if (own[from++] !== bytes[at]) return false;
    for (let at = start2; at < end2; at++) if (own[from++] !== bytes[at]) return false;
    return true;
  }
}

const RECENT = 1 << 12;

export const randomInt32 = () => (Math.random() * 2 ** 32) | 0;

/** The hash of bytes that follow those of another hash. */
function fnv1a(hash: number, bytes: Uint8Array, start: number, end: number): number {
  let result = hash;
  for (let at = start; at < end; at++) result = Math.imul(result ^ (bytes[at] as number), 0x01000193);
  return result;
}
