import type { Tensor } from '../../core/tensor.js';
import type { Embedding } from '../../nn/embedding.js';
import { add } from '../../ops/binary.js';
import { gather } from '../../ops/move.js';
import type { Family } from '../family.js';
import type { FamilyContext } from '../pretrained-model.js';
import { Bart, bartDefaults, bartDesign } from './bart.js';

/**
 * The small Blenderbot (Roller et al. 2020, arXiv 2004.13637): BART whose decoder adds positions after the norm of its
 * embeddings.
 */
export class BlenderbotSmall extends Bart {
  constructor(context: FamilyContext) {
    super(context, { ...bartDesign, firstPosition: 0, heads: ['none', 'language-model'] });
  }

  /** Embeddings lack the factor of `scale_embedding`, as in transformers. */
  protected override embedTarget(ids: Tensor, positions: Tensor): Tensor {
    const words = this.targetTokens.forward(ids, { paddingId: this.settings.numberOrNull('pad_token_id') });
    const embeddedPositions = gather((this.targetPositions as Embedding).weight, positions);
    return this.targetDropout.forward(add(this.targetNorm?.forward(words) ?? words, embeddedPositions));
  }
}

export const blenderbotSmall: Family = {
  model: BlenderbotSmall,
  className: 'BlenderbotSmall',
  generationClass: 'BlenderbotSmallForConditionalGeneration',
  vocabulary: 'blenderbot',
  defaults: {
    ...bartDefaults,
    max_position_embeddings: 512,
    encoder_layers: 8,
    encoder_ffn_dim: 2048,
    encoder_attention_heads: 16,
    decoder_layers: 8,
    decoder_ffn_dim: 2048,
    decoder_attention_heads: 16,
    d_model: 512,
    pad_token_id: 0,
    bos_token_id: 1,
    eos_token_id: 2,
    decoder_start_token_id: 1,
  },
};
