import type { Tensor } from '../../../core/tensor.js';
import { div, maximum } from '../../../ops/binary.js';
import { norm } from '../../../ops/statistics.js';
import { mapVectors, SentenceModule, type TextFeatures, type VectorName } from '../features.js';
import { type ModuleFolder, vectorName } from '../module-folder.js';

/** Divides vectors by their length. */
export class Normalize extends SentenceModule {
  constructor(readonly input: VectorName = 'sentence_embedding') {
    super();
  }

  static async read({ path, config, isLateInteraction }: ModuleFolder): Promise<Normalize> {
    return new Normalize(vectorName(path, await config(), isLateInteraction));
  }

  override forward(features: TextFeatures): TextFeatures {
    return mapVectors(features, this.input, normalized);
  }
}

/** Rows of length 1; zeros stay zeros. */
export function normalized(x: Tensor): Tensor {
  return div(x, maximum(norm(x, { axis: -1, keepDims: true }), 1e-12));
}
