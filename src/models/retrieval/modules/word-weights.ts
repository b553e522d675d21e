import { isObject } from '../../../core/check.js';
import { FormatError } from '../../../core/errors.js';
import { Embedding } from '../../../nn/embedding.js';
import { mul } from '../../../ops/binary.js';
import { unpack } from '../../../ops/move.js';
import { sum } from '../../../ops/reduce.js';
import { SentenceModule, type TextFeatures, tokensOf } from '../features.js';
import type { ModuleFolder } from '../module-folder.js';

/** Multiplies the vector of each token by a weight of its word, such as the inverse document frequency. */
export class WordWeights extends SentenceModule {
  /** float32 [vocabulary, 1] */
  readonly embLayer: Embedding;
  override readonly folder: string;

  constructor({ init, path }: Pick<ModuleFolder, 'init' | 'path'>, words: number) {
    super();
    this.folder = path;
    this.embLayer = new Embedding(init, words, 1);
  }

  /** Like sentence-transformers, ignores the table in the folder and makes it again of the words' weights. */
  static async read(folder: ModuleFolder): Promise<WordWeights> {
    const { vocab, word_weights: given, unknown_word_weight: unknown = 1 } = await folder.config();
    const isWords = Array.isArray(vocab) && vocab.length > 0 && vocab.every((word) => typeof word === 'string');
    const isWeight = (value: unknown) => typeof value === 'number';
    if (!isWords || !isObject(given) || ![unknown, ...Object.values(given)].every(isWeight))
      throw new FormatError(`${folder.path}/config.json: expected a vocab of words, and numbers as word_weights`);
    const weights = new Map(Object.entries(given)) as Map<string, number>;
    const values = vocab.map((word: string) => weights.get(word) ?? weights.get(word.toLowerCase()) ?? unknown);
    const module = new WordWeights(folder, vocab.length);
    module.embLayer.weight.write(Float32Array.from(values as number[]));
    return module;
  }

  override forward(features: TextFeatures): TextFeatures {
    const { batch, encoded } = features;
    if (encoded === null) return features;
    const x = tokensOf(features);
    const weights = this.embLayer.forward(x.device.tensor(Int32Array.from(encoded.inputIds.flat()))); // [N, 1]
    const tokenWeights = sum(unpack(weights, batch.lengths, batch.longest), { axis: 1 });
    return { ...features, tokens: mul(x, weights), tokenWeights };
  }
}
