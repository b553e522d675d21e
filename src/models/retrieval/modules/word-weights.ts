import { Embedding } from '../../../nn/embedding.js';
import { mul } from '../../../ops/binary.js';
import { unpack } from '../../../ops/move.js';
import { sum } from '../../../ops/reduce.js';
import { SentenceModule, type TextFeatures, tokensOf } from '../features.js';
import type { ModuleFolder } from '../module-folder.js';
import { weightsOf } from '../word-list.js';

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
    const weights = weightsOf(await folder.config(), `${folder.path}/config.json`);
    const module = new WordWeights(folder, weights.length);
    module.embLayer.weight.write(Float32Array.from(weights));
    return module;
  }

  override forward(features: TextFeatures): TextFeatures {
    const { batch, encoded } = features;
    if (encoded === null) return features;
    const x = tokensOf(features);
    const ids = encoded.inputIds.flatMap((row) => (row.length === 0 ? [0] : row));
    const all = this.embLayer.forward(x.device.tensor(Int32Array.from(ids))); // [N, 1]
    const isRead = encoded.inputIds.flatMap((row) => (row.length === 0 ? [[0]] : row.map(() => [1])));
    const weights = isRead.length > encoded.inputIds.flat().length ? mul(all, x.device.tensor(isRead)) : all;
    const tokenWeights = sum(unpack(weights, batch.lengths, batch.longest), { axis: 1 });
    return { ...features, tokens: mul(x, weights), tokenWeights };
  }
}
