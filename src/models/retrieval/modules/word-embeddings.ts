import type { EncodedTexts, ReadOptions } from '../features.js';
import type { TextReader } from '../reader.js';
import type { WordList } from '../word-list.js';
import { Transformer } from './transformer.js';

/** A vector for each word of a text, without a model. */
export class WordEmbeddings extends Transformer {
  readonly #words: WordList | null;
  readonly #max: number;

  /** `words`: null for texts that the model's tokenizer reads. `max`: the number of words of a text at most. */
  constructor(model: TextReader, words: WordList | null, max: number, owned: { dispose(): void } | null) {
    super(model, { maxTokens: Number.POSITIVE_INFINITY }, owned);
    this.#words = words;
    this.#max = max;
  }

  override token(id: number): string | undefined {
    return this.#words === null ? super.token(id) : this.#words.words[id];
  }

  override async encode(texts: readonly string[], options: ReadOptions): Promise<EncodedTexts> {
    const words = this.#words;
    const rows = words
      ? texts.map((text) => words.encode(options.prompt + text))
      : (await super.encode(texts, options)).inputIds;
    const inputIds = rows.map((row) => row.slice(0, this.#max));
    return { inputIds, tokenTypeIds: null, promptTokens: 0, attentionMask: null };
  }
}
