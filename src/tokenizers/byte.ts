import { BYTE_LEVEL, BYTE_NAMES } from './byte-level.js';
import { restoreTokenizer, type TokenizerParts } from './json.js';
import { type SpecialTokens, specialList } from './special.js';
import { VocabularyTokenizer } from './vocabulary.js';

const BYTES_BY_NAME: ReadonlyMap<string, number> = new Map(BYTE_NAMES.map((name, byte) => [name, byte]));

/**
 * Tokenizer with one token per UTF-8 byte, so that no text is unknown. Special tokens have the first ids, then the
 * bytes.
 */
export class ByteTokenizer extends VocabularyTokenizer {
  /** The id of byte 0. */
  protected readonly firstByte: number;

  constructor(
    special: SpecialTokens = {},
    merged: readonly string[] = [],
    /** @internal For error messages. */
    name = 'ByteTokenizer',
  ) {
    const list = specialList(special);
    super([...list, ...BYTE_NAMES, ...merged], special, name);
    this.firstByte = list.length;
  }

  /** Restores a tokenizer from the result of `toJSON`. */
  static fromJSON(json: unknown): ByteTokenizer {
    return restoreTokenizer(json, (_, special) => new ByteTokenizer(special));
  }

  protected override encodeText(text: string, ids: number[]): void {
    for (const byte of new TextEncoder().encode(text)) ids.push(this.firstByte + byte);
  }

  protected override decodeIds(ids: readonly number[]): string {
    const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
    let text = '';
    let bytes: number[] = [];
    const flush = () => {
      text += decoder.decode(Uint8Array.from(bytes));
      bytes = [];
    };
    for (const id of ids) {
      const token = this.tokens[id] as string;
      if (this.isSpecial(id)) {
        flush();
        text += token;
      } else for (const name of token) bytes.push(BYTES_BY_NAME.get(name) as number);
    }
    flush();
    return text;
  }

  protected override parts(): TokenizerParts {
    return { pre_tokenizer: BYTE_LEVEL, decoder: BYTE_LEVEL, model: this.bytePairs([]) };
  }

  /** The model of a tokenizer.json over bytes, with merges in order of rank. */
  protected bytePairs(merges: readonly (readonly string[])[]): TokenizerParts['model'] {
    const rules = { dropout: null, continuing_subword_prefix: null, end_of_word_suffix: null, fuse_unk: false };
    const model = { type: 'BPE', ...rules, byte_fallback: false, ignore_merges: false, vocab: this.vocab(), merges };
    return { ...model, unk_token: this.special.unk ?? null };
  }
}
