import type { Json } from '../../model-config.js';
import type { EncodedTexts, TextFeatures, TextTask } from '../features.js';
import type { TextReader } from '../reader.js';
import { distinctWords, WordList, weightsOf } from '../word-list.js';
import { WordEmbeddings } from './word-embeddings.js';

/** The weighted number of times that a text has each word (BoW). */
export class BagOfWords extends WordEmbeddings {
  readonly #weights: readonly number[];
  readonly #counts: boolean;

  /** `model`: a table with a row for each word. */
  constructor(model: TextReader, config: Json, owned: { dispose(): void } | null) {
    const words = distinctWords(config);
    super(model, new WordList(words), Number.POSITIVE_INFINITY, owned);
    this.#weights = weightsOf({ ...config, vocab: words });
    this.#counts = config.cumulative_term_frequency !== false;
  }

  override *readInParts(encoded: EncodedTexts, task: TextTask): Generator<unknown, TextFeatures> {
    const features = yield* super.readInParts(encoded, task);
    const size = this.#weights.length;
    const vectors = new Float32Array(encoded.inputIds.length * size);
    for (const [row, ids] of encoded.inputIds.entries())
      for (const id of this.#counts ? ids : new Set(ids)) {
        const index = row * size + id;
        vectors[index] = (vectors[index] as number) + (this.#weights[id] as number);
      }
    const sentence = this.model.device.tensor(vectors, [encoded.inputIds.length, size]);
    return { ...features, tokens: null, sentence };
  }
}
