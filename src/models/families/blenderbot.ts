import type { Family } from '../family.js';
import type { FamilyContext } from '../pretrained-model.js';
import { Bart, bartDefaults, bartDesign } from './bart.js';

/** Blenderbot (Roller et al. 2020, arXiv 2004.13637): BART with pre-norm layers and no norm of embeddings. */
export class Blenderbot extends Bart {
  constructor(context: FamilyContext) {
    super(context, {
      ...bartDesign,
      wiring: 'pre',
      finalNorm: true,
      embeddingNorm: false,
      firstPosition: 0,
      heads: ['none', 'language-model'],
    });
  }
}

export const blenderbot: Family = {
  model: Blenderbot,
  className: 'Blenderbot',
  generationClass: 'BlenderbotForConditionalGeneration',
  defaults: {
    ...bartDefaults,
    max_position_embeddings: 128,
    encoder_layers: 2,
    encoder_ffn_dim: 10240,
    encoder_attention_heads: 32,
    decoder_layers: 24,
    decoder_ffn_dim: 10240,
    decoder_attention_heads: 32,
    d_model: 2560,
    pad_token_id: 0,
    bos_token_id: 1,
    eos_token_id: 2,
    decoder_start_token_id: 1,
    forced_eos_token_id: 2,
  },
};
