import type { TokenIds } from './token-table.js';

/** A token of a word. */
export interface ModelToken {
  /** Null for text without a token, if the vocabulary has none for that. */
  readonly id: number | null;
  /** In the vocabulary, or the text that has none. */
  readonly token: string;
  /** Where it is in the word, in UTF-16 units. */
  readonly start: number;
  readonly end: number;
}

/** What makes tokens of words. */
export interface Model {
  readonly ids: TokenIds;
  /** How many there are; of a list that has one twice, both. Added tokens are numbered from here on. */
  readonly count: number;
  /** One more than the last id. */
  readonly size: number;
  tokenOf(id: number): string | undefined;
  tokensOf(word: string): readonly ModelToken[];
}
