// Models that look up words: whole, or piece by piece.

import type { TokenizerModel } from './json.js';
import type { Model, ModelToken } from './model.js';

/** A vocabulary of whole words. */
export class WordLevelModel implements Model {
  readonly ids: ReadonlyMap<string, number>;
  readonly count: number;
  readonly size: number;
  readonly #tokens: string[] = [];
  readonly #unknown: string;

  constructor({ vocab, unk_token }: TokenizerModel, unknown = '<unk>') {
    this.ids = new Map(Object.entries(vocab as Readonly<Record<string, number>>));
    for (const [token, id] of this.ids) this.#tokens[id] = token;
    this.count = this.ids.size;
    this.size = this.#tokens.length;
    this.#unknown = unk_token ?? unknown;
  }

  tokenOf(id: number): string | undefined {
    return this.#tokens[id];
  }

  tokensOf(word: string): readonly ModelToken[] {
    const id = this.ids.get(word);
    return id === undefined ? this.unknown(word) : [{ id, token: word, start: 0, end: word.length }];
  }

  protected unknown(word: string): readonly ModelToken[] {
    const id = this.ids.get(this.#unknown) ?? null;
    return [{ id, token: id === null ? word : this.#unknown, start: 0, end: word.length }];
  }
}

/**
 * WordPiece: a word is split into the longest known pieces, from left to right. Later pieces have a prefix such as ##.
 */
export class WordPieceModel extends WordLevelModel {
  readonly #prefix: string;
  readonly #maxCharacters: number;
  /** Length of the longest token in UTF-16 units. */
  readonly #maxLength: number;

  constructor(model: TokenizerModel) {
    super(model, '[UNK]');
    const { continuing_subword_prefix: prefix, max_input_chars_per_word: maxCharacters } = model as WordPieceFields;
    this.#prefix = prefix ?? '##';
    this.#maxCharacters = maxCharacters ?? 100;
    this.#maxLength = Array.from(this.ids.keys()).reduce((most, { length }) => Math.max(most, length), 0);
  }

  override tokensOf(word: string): readonly ModelToken[] {
    if (Array.from(word).length > this.#maxCharacters) return this.unknown(word);
    const tokens: ModelToken[] = [];
    for (let start = 0; start < word.length; ) {
      const found = this.#longestFrom(word, start);
      if (found === undefined) return this.unknown(word);
      tokens.push(found);
      start = found.end;
    }
    return tokens;
  }

  #longestFrom(word: string, start: number): ModelToken | undefined {
    for (let end = Math.min(word.length, start + this.#maxLength); end > start; end--) {
      const code = word.charCodeAt(end);
      if (code >= 0xdc00 && code < 0xe000) continue; // not inside a surrogate pair
      const token = (start > 0 ? this.#prefix : '') + word.slice(start, end);
      const id = this.ids.get(token);
      if (id !== undefined) return { id, token, start, end };
    }
    return undefined;
  }
}

type WordPieceFields = TokenizerModel & { readonly max_input_chars_per_word?: number };
