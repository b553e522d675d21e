import type { Tensor } from '../../../core/tensor.js';
import { add, div, mul } from '../../../ops/binary.js';
import { sum } from '../../../ops/reduce.js';
import { SentenceModule, type TextFeatures } from '../features.js';
import { type ModuleFolder, matrixSize } from '../module-folder.js';

/** Replaces the vectors of tokens by the weighted mean of those of several layers. */
export class WeightedLayerPooling extends SentenceModule {
  /** float32 [layers] */
  readonly layerWeights: Tensor;
  override readonly folder: string;

  constructor(
    { init, path }: Pick<ModuleFolder, 'init' | 'path'>,
    layers: number,
    /** The first layer that counts; 0 is the embedding. */
    private readonly first: number,
  ) {
    super();
    this.folder = path;
    this.layerWeights = init.constant([layers], 1);
  }

  static async read(folder: ModuleFolder): Promise<WeightedLayerPooling> {
    const { path, config, tensors } = folder;
    const { layer_start: first = 4 } = await config();
    const entries = await tensors();
    const [layers] = matrixSize(path, entries, 'layer_weights', 1) as [number];
    const module = new WeightedLayerPooling(folder, layers, Number(first));
    await module.readState(entries);
    return module;
  }

  /** Models that keep only their last layer pass unchanged, as in sentence-transformers. */
  override forward(features: TextFeatures): TextFeatures {
    if (!features.layers) return features;
    const weights = this.layerWeights;
    const used = features.layers.slice(this.first);
    const weighted = used.map((layer, i) => mul(layer, weights.rows(i, i + 1)));
    return {
      ...features,
      tokens: div(
        weighted.reduce((total, layer) => add(total, layer)),
        sum(weights),
      ),
    };
  }
}
