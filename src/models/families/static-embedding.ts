import type { Tensor } from '../../core/tensor.js';
import { Embedding } from '../../nn/embedding.js';
import { Stack } from '../../nn/stack.js';
import type { StateNames } from '../../nn/state-names.js';
import { EncoderModel } from '../encoder-model.js';
import type { Family } from '../family.js';
import { checkHead } from '../prediction-head.js';
import type { FamilyContext } from '../pretrained-model.js';

/** A table of vectors and nothing else: StaticEmbedding of sentence-transformers, and model2vec. */
export class StaticEmbedding extends EncoderModel {
  readonly table: Embedding;
  readonly encoder: Stack;
  readonly head = null;

  constructor(context: FamilyContext) {
    super(context);
    const { init, config } = context;
    checkHead(context, ['none']);
    this.table = new Embedding(init, config.size('vocab_size'), config.size('hidden_size'));
    this.encoder = new Stack(
      0,
      () => {
        throw new Error('StaticEmbedding has no layers');
      },
      null,
    );
  }

  protected embed(ids: Tensor): Tensor {
    return this.table.forward(ids);
  }

  /** A table has no positions, so length is not limited. */
  override get maxLength(): number {
    return Number.POSITIVE_INFINITY;
  }

  protected override get stateNames(): StateNames {
    return { table: 'embedding' };
  }
}

export const staticEmbedding: Family = {
  model: StaticEmbedding,
  className: 'StaticEmbedding',
  defaults: {},
};
