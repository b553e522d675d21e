import { describeValue } from '../core/check.js';
import { ArgumentError, SimdformerError } from '../core/errors.js';
import type { TokenizerConfig, TokenizerJson } from './json.js';

/** Text to token ids and back. */
export interface Tokenizer {
  /** Ids run from 0 to `vocabSize` − 1. */
  readonly vocabSize: number;
  /** Of the token that fills batches; undefined, as the next three, if the vocabulary has no such token. */
  readonly padId: number | undefined;
  /** Of the token that a sequence begins with. */
  readonly bosId: number | undefined;
  /** Of the token that a sequence ends with. Without one, nothing but a limit of tokens ends what a model generates. */
  readonly eosId: number | undefined;
  /** Of the token for text that is not in the vocabulary. */
  readonly unkId: number | undefined;
  /**
   * The ids of `text`. Special tokens written in it become their ids. With `addSpecial` the tokens for begin and end,
   * as far as the tokenizer has them, are put around it. Throws UnknownTokenError for text that the vocabulary does not
   * cover, if there is no token for it.
   */
  encode(text: string, options?: { addSpecial?: boolean | undefined }): number[];
  /**
   * The text of `ids`, with special tokens only if `skipSpecial` is false. Throws ArgumentError for ids out of range.
   */
  decode(ids: Iterable<number>, options?: { skipSpecial?: boolean | undefined }): string;
  tokenToId(token: string): number | undefined;
  idToToken(id: number): string | undefined;
  /** The content of a Hugging Face `tokenizer.json`; `parseTokenizer` reads it back, with `config` if there is one. */
  toJSON(): TokenizerJson;
  /** The `tokenizer_config.json` that the tokenizer was loaded with. Saved models keep it. */
  readonly config?: TokenizerConfig | undefined;
}

/** Text that the vocabulary has no token for. */
export class UnknownTokenError extends SimdformerError {
  override name = 'UnknownTokenError';

  constructor(
    readonly token: string,
    /** Of its first character in the text, counted in code points from 0. */
    readonly position: number,
  ) {
    super(
      `${JSON.stringify(token)} at position ${position} is not in the vocabulary, and no 'unk' token stands for it`,
    );
  }
}

/** Throws ArgumentError for what is not text, given without types. */
export function checkText(op: string, text: string): void {
  if (typeof text !== 'string') throw new ArgumentError(`${op}: the text is ${describeValue(text)}, expected a string`);
}

/** The ids to decode. Throws ArgumentError for what is not several ids of the vocabulary. */
export function knownIds(tokenizer: Tokenizer, ids: Iterable<number>): number[] {
  if (typeof ids?.[Symbol.iterator] !== 'function')
    throw new ArgumentError(`decode: the ids are ${describeValue(ids)}, expected an array`);
  return Array.from(ids, (id) => {
    if (typeof id === 'number' && tokenizer.idToToken(id) !== undefined) return id;
    throw new ArgumentError(
      `decode: there is no id ${describeValue(id)} in a vocabulary of ${tokenizer.vocabSize} tokens`,
    );
  });
}

/** The position in code points of an index in UTF-16 units. */
export function codePointsBefore(text: string, index: number): number {
  return Array.from(text.slice(0, index)).length;
}
