import type { Tensor } from '../../core/tensor.js';
import type { Initializer } from '../../nn/init.js';
import { LayerNorm } from '../../nn/norm.js';
import type { StateNames } from '../../nn/state-names.js';
import { add } from '../../ops/binary.js';
import { DetectionEncoderLayer, type DetectionLayerOptions, type Keys } from '../detection.js';
import type { Family } from '../family.js';
import type { FamilyContext } from '../pretrained-model.js';
import { Detr, DetrDecoderLayer, detr } from './detr.js';

/**
 * Table Transformer (Smock et al. 2021, arXiv 2110.00061): a DETR with norms before the branches, which finds tables in
 * pages, and rows and columns in tables.
 */
export class TableTransformer extends Detr {
  readonly encoderNorm: LayerNorm;

  constructor(context: FamilyContext) {
    super(context, ['none', 'object-detection']);
    this.encoderNorm = new LayerNorm(context.init, context.config.size('d_model'));
  }

  protected override encoderLayer(init: Initializer, options: DetectionLayerOptions): DetectionEncoderLayer {
    return new EncoderLayer(init, options);
  }

  protected override decoderLayer(init: Initializer, options: DetectionLayerOptions): DetrDecoderLayer {
    return new DecoderLayer(init, options);
  }

  protected override memoryOf(x: Tensor): Tensor {
    return this.encoderNorm.forward(x);
  }

  protected override get stateNames(): StateNames {
    const body = this.bodyName;
    const positions = `${body}.backbone.position_embedding`;
    return {
      ...super.stateNames,
      row_positions: `${positions}.row_embeddings.weight`,
      column_positions: `${positions}.column_embeddings.weight`,
      encoder_norm: `${body}.encoder.layernorm`,
    };
  }
}

class EncoderLayer extends DetectionEncoderLayer {
  override forward(x: Tensor, positions: Tensor | null, mask: Tensor | null): Tensor {
    const { selfAttn, selfAttnLayerNorm, feedForward, finalLayerNorm, dropout } = this;
    const normed = selfAttnLayerNorm.forward(x);
    const mixed = add(x, dropout.forward(selfAttn.forward(normed, positions, { x: normed, positions, mask })));
    return add(mixed, dropout.forward(feedForward.forward(finalLayerNorm.forward(mixed))));
  }
}

class DecoderLayer extends DetrDecoderLayer {
  override forward(x: Tensor, positions: Tensor, memory: Keys): Tensor {
    const { selfAttn, encoderAttn, feedForward, dropout } = this;
    const attended = add(x, dropout.forward(selfAttn.forward(this.selfAttnLayerNorm.forward(x), positions)));
    const queries = this.encoderAttnLayerNorm.forward(attended);
    const seen = add(attended, dropout.forward(encoderAttn.forward(queries, positions, memory)));
    return add(seen, dropout.forward(feedForward.forward(this.finalLayerNorm.forward(seen))));
  }
}

export const tableTransformer: Family = {
  model: TableTransformer,
  className: 'TableTransformer',
  defaults: detr.defaults,
};
