import { Embedding } from '../../../nn/embedding.js';
import { mul } from '../../../ops/binary.js';
import { unpack } from '../../../ops/move.js';
import { sum } from '../../../ops/reduce.js';
import { SentenceModule, type TextFeatures, tokensOf } from '../features.js';
import { type ModuleFolder, matrixSize } from '../module-folder.js';

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

  static async read(folder: ModuleFolder): Promise<WordWeights> {
    const entries = await folder.tensors();
    const [words] = matrixSize(folder.path, entries, 'emb_layer.weight', 2) as [number, number];
    const module = new WordWeights(folder, words);
    await module.readState(entries);
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
