// Modules of sentence-transformers that read texts by a list of words.

import { describeValue, isCount } from '../../core/check.js';
import { FormatError } from '../../core/errors.js';
import { shortType } from '../../models/retrieval/module-folder.js';
import { BagOfWords } from '../../models/retrieval/modules/bag-of-words.js';
import { WordEmbeddings } from '../../models/retrieval/modules/word-embeddings.js';
import type { TextReader } from '../../models/retrieval/reader.js';
import { WordList } from '../../models/retrieval/word-list.js';
import type { ModelSource } from '../source.js';

const SETTINGS = 'wordembedding_config.json';
const WORDS = 'whitespacetokenizer_config.json';

/** `kind`: BoW or WordEmbeddings. Throws FormatError for invalid settings, and for tokenizers of other packages. */
export async function wordModule(
  kind: string,
  source: ModelSource,
  model: TextReader,
  owned: { dispose(): void } | null,
): Promise<WordEmbeddings> {
  if (kind === 'BoW') return new BagOfWords(model, await source.json('config.json'), owned);
  const { tokenizer_class: type, max_seq_length: max = 1000000 } = await source.json(SETTINGS);
  if (!isCount(max as number))
    throw new FormatError(`${source.name}: ${SETTINGS}: max_seq_length is ${describeValue(max)}, expected a count`);
  switch (shortType(type)) {
    case 'WhitespaceTokenizer':
      return new WordEmbeddings(model, WordList.read(await source.json(WORDS), WORDS), max as number, owned);
    case 'TransformersTokenizerWrapper':
      return new WordEmbeddings(model, null, max as number, owned);
    default:
      throw new FormatError(
        `${source.name}: ${SETTINGS}: tokenizer_class is ${describeValue(type)}, expected WhitespaceTokenizer or ` +
          'TransformersTokenizerWrapper: PhraseTokenizer needs NLTK, so save the model with WhitespaceTokenizer and the same words',
      );
  }
}
