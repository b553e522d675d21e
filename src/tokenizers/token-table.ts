/** Tokens and their numbers, as a Map has them. */
export interface TokenIds extends Iterable<[token: string, id: number]> {
  readonly size: number;
  get(token: string): number | undefined;
  has(token: string): boolean;
}

/**
 * Tokens that are numbered as they come, in typed arrays: 20 bytes for each, where an array and a Map of strings take 120, and nothing that
 * a collection of garbage has to walk through.
 */
export class TokenTable implements TokenIds {
  size = 0;
  /** Characters of the longest. */
  longest = 0;
  /** The UTF-16 units of all tokens, one after another; where each one ends, from 1 on. */
  #units: Uint16Array;
  readonly #ends: Uint32Array;
  /** Numbers + 1 by what tokens are mixed to: open addressing, 0 is an empty slot. */
  readonly #slots: Int32Array;
  /** Some that were asked for: a Map remembers what it made of a text. */
  readonly #recent = new Map<string, number>();

  /** For so many tokens at most. */
  constructor(most: number) {
    this.#units = new Uint16Array(8 * most);
    this.#ends = new Uint32Array(most + 1);
    this.#slots = new Int32Array(2 ** Math.ceil(Math.log2(2 * most + 2)));
  }

  /** Whether it was new, and has got the next number. */
  add(token: string): boolean {
    const slot = this.#slotOf(token);
    if (this.#slots[slot] !== 0) return false;
    const start = this.#ends[this.size] as number;
    const end = start + token.length;
    if (end > this.#units.length) {
      const larger = new Uint16Array(end + (this.#units.length >> 1));
      larger.set(this.#units);
      this.#units = larger;
    }
    for (let i = 0; i < token.length; i++) this.#units[start + i] = token.charCodeAt(i);
    this.#ends[++this.size] = end;
    this.#slots[slot] = this.size;
    this.longest = Math.max(this.longest, token.length);
    return true;
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
    const found = this.#slots[this.#slotOf(token)] as number;
    return found === 0 ? undefined : found - 1;
  }

  has(token: string): boolean {
    return this.get(token) !== undefined;
  }

  /** The token of a number; undefined if there is none. */
  at(id: number): string | undefined {
    if (!(Number.isInteger(id) && id >= 0 && id < this.size)) return undefined;
    const end = this.#ends[id + 1] as number;
    let text = '';
    for (let at = this.#ends[id] as number; at < end; at += PIECE)
      text += String.fromCharCode(...this.#units.subarray(at, Math.min(end, at + PIECE)));
    return text;
  }

  *[Symbol.iterator](): Generator<[string, number]> {
    for (let id = 0; id < this.size; id++) yield [this.at(id) as string, id];
  }

  #slotOf(token: string): number {
    const slots = this.#slots;
    let mixed = token.length;
    for (let i = 0; i < token.length; i++) mixed = Math.imul(mixed ^ token.charCodeAt(i), 0x01000193);
    for (let slot = mixed ^ (mixed >>> 15); ; slot++) {
      const at = slot & (slots.length - 1);
      const found = slots[at] as number;
      if (found === 0 || this.#is(found - 1, token)) return at;
    }
  }

  #is(id: number, token: string): boolean {
    const start = this.#ends[id] as number;
    if ((this.#ends[id + 1] as number) - start !== token.length) return false;
    for (let i = 0; i < token.length; i++) if (this.#units[start + i] !== token.charCodeAt(i)) return false;
    return true;
  }
}

/** Units that are made text at a time: a call has not room for any number of arguments. */
const PIECE = 1 << 12;
const RECENT = 1 << 12;
