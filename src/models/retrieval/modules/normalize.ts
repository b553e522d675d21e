import type { Tensor } from '../../../core/tensor.js';
import { div, maximum } from '../../../ops/binary.js';
import { norm } from '../../../ops/statistics.js';
import { hasVectors, mapVectors, OF_TEXTS, SentenceModule, type TextFeatures, type VectorNames } from '../features.js';
import { type ModuleFolder, vectorNames } from '../module-folder.js';

/** Divides vectors by their length. */
export class Normalize extends SentenceModule {
  constructor(override readonly names: VectorNames = OF_TEXTS) {
    super();
  }

  static async read({ path, config, readsTokens }: ModuleFolder): Promise<Normalize> {
    return new Normalize(vectorNames(path, await config(), readsTokens));
  }

  /** Without vectors of that name it does nothing, as in sentence-transformers. */
  override forward(features: TextFeatures): TextFeatures {
    if (!hasVectors(features, this.names.input)) return features;
    return mapVectors(features, this.names, normalized);
  }
}

/** Rows of length 1; zeros stay zeros. */
export function normalized(x: Tensor): Tensor {
  return div(x, maximum(norm(x, { axis: -1, keepDims: true }), 1e-12));
}
