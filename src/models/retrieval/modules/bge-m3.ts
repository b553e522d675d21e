import type { Tensor } from '../../../core/tensor.js';
import type { Linear } from '../../../nn/linear.js';
import { Module } from '../../../nn/module.js';
import { type EncodedTexts, type TextFeatures, tokensOf } from '../features.js';
import { normalized } from './normalize.js';

/** BGE-M3's weights of tokens and vectors of tokens, beside its dense vector (Chen et al. 2024, arXiv 2402.03216). */
export class BgeM3 extends Module {
  constructor(
    /** One weight for each token. */
    readonly sparse: Linear,
    /** The vector of each token. */
    readonly colbert: Linear,
    /** Tokens without a weight: [CLS] and the like. */
    private readonly ignored: ReadonlySet<number>,
  ) {
    super();
  }

  /** float32 [N, 1]: the weights of tokens. */
  tokenWeights(features: TextFeatures): Tensor {
    return this.sparse.forward(tokensOf(features), 'relu');
  }

  /** The greatest weight of each id of a text, of the weights of its tokens. */
  lexical(ids: readonly number[], weights: ArrayLike<number>): Map<number, number> {
    const greatest = new Map<number, number>();
    for (const [i, id] of ids.entries()) {
      const weight = weights[i] as number;
      if (!this.ignored.has(id) && weight > (greatest.get(id) ?? 0)) greatest.set(id, weight);
    }
    return greatest;
  }

  /** The vectors of all tokens but the first, of length 1. */
  vectors(features: TextFeatures): TextFeatures {
    const tokens = normalized(this.colbert.forward(tokensOf(features)));
    const { inputIds } = features.encoded as EncodedTexts;
    return { ...features, tokens, compared: inputIds.map((row) => row.map((_, i) => i > 0)) };
  }
}
