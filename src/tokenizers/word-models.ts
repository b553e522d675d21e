// Models that look up whole words, or pieces of words.

import { atOnce, inSlices } from '../core/slices.js';
import type { TokenizerModel } from './json.js';
import type { Model, ModelToken } from './model.js';

/** The tables of a vocabulary. */
interface Words {
  readonly ids: ReadonlyMap<string, number>;
  /** Tokens by id. */
  readonly tokens: readonly string[];
  /** Length of the longest token in UTF-16 units. */
  readonly longest: number;
}

/** Tables made by `prepareWords`. */
const prepared = new WeakMap<object, Words>();

/** Number of tokens per slice of work. */
const TOKENS_A_SLICE = 4096;

/** Makes the tables of such a model in slices that yield to the event loop. */
export async function prepareWords(model: TokenizerModel): Promise<void> {
  prepared.set(model, await inSlices(makeWords(model)));
}

function* makeWords({ vocab }: TokenizerModel): Generator<undefined, Words> {
  const ids = new Map<string, number>();
  const tokens: string[] = [];
  let longest = 0;
  for (const token of Object.keys(vocab)) {
    const id = (vocab as Readonly<Record<string, number>>)[token] as number;
    ids.set(token, id);
    tokens[id] = token;
    longest = Math.max(longest, token.length);
    if (ids.size % TOKENS_A_SLICE === 0) yield;
  }
  return { ids, tokens, longest };
}

/** A vocabulary of whole words. */
export class WordLevelModel implements Model {
  readonly ids: ReadonlyMap<string, number>;
  readonly count: number;
  readonly size: number;
  /** Length of the longest token in UTF-16 units. */
  protected readonly longest: number;
  readonly #tokens: readonly string[];
  readonly #unknown: string;

  constructor(model: TokenizerModel, unknown = '<unk>') {
    const { ids, tokens, longest } = prepared.get(model) ?? atOnce(makeWords(model));
    this.ids = ids;
    this.longest = longest;
    this.#tokens = tokens;
    this.count = ids.size;
    this.size = tokens.length;
    this.#unknown = model.unk_token ?? unknown;
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

  constructor(model: TokenizerModel) {
    super(model, '[UNK]');
    const { continuing_subword_prefix: prefix, max_input_chars_per_word: maxCharacters } = model as WordPieceFields;
    this.#prefix = prefix ?? '##';
    this.#maxCharacters = maxCharacters ?? 100;
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
    for (let end = Math.min(word.length, start + this.longest); end > start; end--) {
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
