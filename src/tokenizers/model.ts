import type { TokenIds } from './token-table.js';

/** A token of a word. */
export interface ModelToken {
  /** Null for text without a token, if the vocabulary has no unknown token. */
  readonly id: number | null;
  /** The token in the vocabulary, or the text that has no token. */
  readonly token: string;
  /** Position in the word, in UTF-16 units. */
  readonly start: number;
  readonly end: number;
}

/** Splits words into tokens. */
export interface Model {
  readonly ids: TokenIds;
  /** Number of tokens; a duplicate in a list counts twice. Ids of added tokens begin here. */
  readonly count: number;
  /** One more than the last id. */
  readonly size: number;
  tokenOf(id: number): string | undefined;
  tokensOf(word: string): readonly ModelToken[];
}
