import TinyQueue from 'tinyqueue';
import { byteTokens } from './byte-level.js';
import type { BytePairs } from './byte-pairs.js';
import type { TokenizerModel } from './json.js';
import type { Model, ModelToken } from './model.js';
import type { TokenIds } from './token-table.js';

const MAX_REMEMBERED = 10_000;
const MAX_REMEMBERED_LENGTH = 256;

/** A token of a word, in a linked list. */
interface Symbol {
  token: string;
  readonly id: number | null;
  /** Length of the symbol in UTF-8 bytes. 0 after it was merged into the one before. */
  bytes: number;
  previous: number;
  next: number;
}

/** Two neighbours that can be merged into one token. */
interface Merge {
  readonly rank: number;
  readonly index: number;
  readonly token: string;
}

/** A BPE vocabulary: pairs of tokens are merged, in the order in which the merges were learned. */
export class BytePairModel implements Model {
  readonly ids: TokenIds;
  readonly count: number;
  readonly size: number;
  readonly #prefix: string;
  readonly #suffix: string;
  readonly #known = new Map<string, readonly ModelToken[]>();

  constructor(
    private readonly file: BytePairFields,
    private readonly pairs: BytePairs,
  ) {
    this.ids = pairs.ids;
    this.count = pairs.ids.size;
    this.size = pairs.size;
    this.#prefix = file.continuing_subword_prefix ?? '';
    this.#suffix = file.end_of_word_suffix ?? '';
  }

  tokenOf(id: number): string | undefined {
    return this.pairs.tokenOf(id);
  }

  tokensOf(word: string): readonly ModelToken[] {
    let tokens = this.#known.get(word);
    if (tokens === undefined) {
      tokens = this.#found(word);
      if (this.#known.size >= MAX_REMEMBERED) this.#known.clear();
      if (word.length <= MAX_REMEMBERED_LENGTH) this.#known.set(word, tokens);
    }
    return tokens;
  }

  #found(word: string): readonly ModelToken[] {
    const id = this.file.ignore_merges ? this.ids.get(word) : undefined;
    if (id !== undefined) return [{ id, token: word, start: 0, end: word.length }];
    const symbols = this.#symbolsOf(word);
    this.#merge(symbols);
    const unitsOf = byteSpans(word);
    let offset = 0;
    return symbols.flatMap(({ token, id, bytes }) => {
      if (bytes === 0) return [];
      const [start, end] = unitsOf(offset, offset + bytes);
      offset += bytes;
      return [{ id: id === null ? null : (this.ids.get(token) as number), token, start, end }];
    });
  }

  /** Initial symbols: characters, or their bytes, or the unknown token for characters that have neither. */
  #symbolsOf(word: string): Symbol[] {
    const symbols: Symbol[] = [];
    const add = (token: string, bytes: number, id: number | null) => {
      const index = symbols.length;
      if (index > 0) (symbols[index - 1] as Symbol).next = index;
      symbols.push({ token, id, bytes, previous: index - 1, next: -1 });
    };
    let unknown = ''; // characters without a token and without bytes
    const endUnknown = () => {
      if (unknown !== '') add(...this.#unknown(unknown));
      unknown = '';
    };
    const characters = Array.from(word);
    for (const [i, character] of characters.entries()) {
      const suffix = i === characters.length - 1 ? this.#suffix : '';
      const token = (i > 0 ? this.#prefix : '') + character + suffix;
      const bytes = lengthInBytes(character);
      const id = this.ids.get(token);
      if (id !== undefined) {
        endUnknown();
        add(token, bytes, id);
        continue;
      }
      const parts = this.file.byte_fallback ? byteTokens(token) : [];
      if (parts.length > 0 && parts.every((part) => this.ids.has(part))) {
        for (const part of parts) add(part, 1, this.ids.get(part) as number);
        continue;
      }
      if (!this.file.fuse_unk) endUnknown();
      unknown += character;
    }
    endUnknown();
    return symbols;
  }

  #unknown(text: string): [token: string, bytes: number, id: number | null] {
    const bytes = Array.from(text, lengthInBytes).reduce((sum, length) => sum + length, 0);
    const { unk_token: token } = this.file;
    const id = typeof token === 'string' ? this.ids.get(token) : undefined;
    return id === undefined ? [text, bytes, null] : [token as string, bytes, id];
  }

  #merge(symbols: readonly Symbol[]): void {
    const queue = new TinyQueue<Merge>([], (a, b) => a.rank - b.rank || a.index - b.index);
    const offer = (index: number) => {
      const merge = this.#mergeAt(symbols, index);
      if (merge !== null) queue.push(merge);
    };
    for (let index = 0; index + 1 < symbols.length; index++) offer(index);
    for (let merge = queue.pop(); merge !== undefined; merge = queue.pop()) {
      const left = symbols[merge.index] as Symbol;
      // The symbols of this queued merge may have been merged with others since.
      if (left.bytes === 0 || this.#mergeAt(symbols, merge.index)?.token !== merge.token) continue;
      const right = symbols[left.next] as Symbol;
      left.token = merge.token;
      left.bytes += right.bytes;
      left.next = right.next;
      right.bytes = 0;
      if (right.next >= 0) (symbols[right.next] as Symbol).previous = merge.index;
      if (left.previous >= 0) offer(left.previous);
      offer(merge.index);
    }
  }

  #mergeAt(symbols: readonly Symbol[], index: number): Merge | null {
    const left = symbols[index] as Symbol;
    if (left.next < 0) return null;
    const right = symbols[left.next] as Symbol;
    const rank = left.id === null || right.id === null ? undefined : this.pairs.rankOf(left.token, right.token);
    return rank === undefined ? null : { rank, index, token: left.token + right.token.slice(this.#prefix.length) };
  }
}

type BytePairFields = Omit<TokenizerModel, 'vocab' | 'merges'> & {
  readonly end_of_word_suffix?: string | null;
  readonly fuse_unk?: boolean;
  readonly ignore_merges?: boolean;
};

const ASCII = /^[\0-\x7f]*$/;

function lengthInBytes(character: string): number {
  const code = character.codePointAt(0) as number;
  return code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
}

/** Returns a function that maps a range of a word's bytes to the UTF-16 units of the characters it belongs to. */
function byteSpans(word: string): (start: number, end: number) => [start: number, end: number] {
  if (ASCII.test(word)) return (start, end) => [start, Math.min(end, word.length)];
  const starts: number[] = [];
  const ends: number[] = [];
  let unit = 0;
  for (const character of word) {
    for (let i = lengthInBytes(character); i > 0; i--) {
      starts.push(unit);
      ends.push(unit + character.length);
    }
    unit += character.length;
  }
  const last = starts.length - 1;
  return (start, end) => [starts[Math.min(start, last)] as number, ends[Math.min(end - 1, last)] as number];
}
