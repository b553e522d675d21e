import { describeValue } from '../core/check.js';
import { ArgumentError, SimdformerError } from '../core/errors.js';
import type { TokenizerConfig, TokenizerJson } from './json.js';

/** Converts text to token ids and back. */
export interface Tokenizer {
  /** Ids run from 0 to `vocabSize` − 1. */
  readonly vocabSize: number;
  /** Id of the padding token. This and the next three are undefined if the vocabulary has no such token. */
  readonly padId: number | undefined;
  /** Id of the token that begins a sequence. */
  readonly bosId: number | undefined;
  /** Id of the token that ends a sequence. Without one, only a limit of tokens ends a generation. */
  readonly eosId: number | undefined;
  /** Id of the token for text that is not in the vocabulary. */
  readonly unkId: number | undefined;
  /**
   * Encodes `text`. Special tokens in the text become their ids. `addSpecial` adds the begin and end tokens around it,
   * if the tokenizer has them. Default: false. Throws UnknownTokenError for text outside the vocabulary if there is no
   * unknown token.
   */
  encode(text: string, options?: { addSpecial?: boolean | undefined }): number[];
  /**
   * Decodes `ids`. Special tokens are omitted unless `skipSpecial` is false. Throws ArgumentError for ids out of range.
   */
  decode(ids: Iterable<number>, options?: { skipSpecial?: boolean | undefined }): string;
  tokenToId(token: string): number | undefined;
  idToToken(id: number): string | undefined;
  /** The content of a Hugging Face `tokenizer.json`; `parseTokenizer` reads it back, with `config` if there is one. */
  toJSON(): TokenizerJson;
  /** Content of the `tokenizer_config.json` that the tokenizer was loaded with. It is saved with models. */
  readonly config?: TokenizerConfig | undefined;
}

/** Thrown for text that the vocabulary has no token for. */
export class UnknownTokenError extends SimdformerError {
  override get name() {
    return 'UnknownTokenError';
  }

  constructor(
    readonly token: string,
    /** Position of the first unknown character in the text, in code points from 0. */
    readonly position: number,
  ) {
    super(
      `${JSON.stringify(token)} at position ${position} is not in the vocabulary, and no 'unk' token stands for it`,
    );
  }
}

/** Throws ArgumentError if `text` is not a string. */
export function checkText(op: string, text: string): void {
  if (typeof text !== 'string') throw new ArgumentError(`${op}: the text is ${describeValue(text)}, expected a string`);
}

/** Checks ids before decoding. Throws ArgumentError for ids outside the vocabulary, or a single number. */
export function knownIds(tokenizer: Tokenizer, ids: Iterable<number>): number[] {
  if (typeof ids?.[Symbol.iterator] !== 'function')
    throw new ArgumentError(`decode: the ids are ${describeValue(ids)}, expected an array`);
  return Array.from(ids, (id) => {
    if (typeof id === 'number' && tokenizer.idToToken(id) !== undefined) return id;
    throw new ArgumentError(
      `decode: ids contains ${describeValue(id)}, expected integers from 0 to ${tokenizer.vocabSize - 1}`,
    );
  });
}

/** Converts an index in UTF-16 units to code points. */
export function codePointsBefore(text: string, index: number): number {
  return Array.from(text.slice(0, index)).length;
}
