import { LayerNorm as Norm } from '../../../nn/norm.js';
import { mapVectors, OF_TEXTS, SentenceModule, type TextFeatures } from '../features.js';
import { type ModuleFolder, matrixSize } from '../module-folder.js';

/** Normalizes the features of each vector of a text. */
export class LayerNorm extends SentenceModule {
  constructor(
    readonly norm: Norm,
    override readonly folder: string | null,
  ) {
    super();
  }

  static async read({ path, init, tensors }: ModuleFolder): Promise<LayerNorm> {
    const entries = await tensors();
    const [features] = matrixSize(path, entries, 'norm.weight', 1) as [number];
    const module = new LayerNorm(new Norm(init, features, 1e-5), path);
    await module.readState(entries);
    return module;
  }

  override forward(features: TextFeatures): TextFeatures {
    return mapVectors(features, OF_TEXTS, (x) => this.norm.forward(x));
  }
}
