import type { MultiHeadOptions } from '../../nn/attention.js';
import type { Initializer } from '../../nn/init.js';
import type { FeedForwardNetwork, LayerParts } from '../../nn/layer.js';
import type { RotaryEmbedding } from '../../nn/rotary-embedding.js';
import type { StateNames } from '../../nn/state-names.js';
import { rotaryOf } from '../config-values.js';
import type { Family } from '../family.js';
import type { ModelConfig } from '../model-config.js';
import { decoderDefaults, ggufNames, llamaFeedForward, RotaryDecoder } from './llama.js';

/**
 * GLM-4-0414 (2025): norms before and after each sub-layer, and rotation of neighbouring features in half of each head.
 */
export class Glm4 extends RotaryDecoder {
  protected override rotary(init: Initializer, config: ModelConfig): RotaryEmbedding | null {
    return rotaryOf(init, config, { layout: 'interleaved' });
  }

  protected override attentionOptions(_init: Initializer, config: ModelConfig): Partial<MultiHeadOptions> {
    return { bias: config.flag('attention_bias'), outBias: false };
  }

  protected override network(init: Initializer, config: ModelConfig): FeedForwardNetwork {
    return llamaFeedForward(init, config, { fused: true });
  }

  protected override layerParts(init: Initializer, config: ModelConfig): Partial<LayerParts> {
    return { postNorm: () => this.norm(init, config) };
  }

  protected override get stateNames(): StateNames {
    const layer = 'model.layers.*';
    return {
      ...super.stateNames,
      'decoder.layers.*.feed_forward.linear1': `${layer}.mlp.gate_up_proj`,
      'decoder.layers.*.post_norms.0': `${layer}.post_self_attn_layernorm`,
      'decoder.layers.*.post_norms.1': `${layer}.post_mlp_layernorm`,
    };
  }
}

export const glm4: Family = {
  model: Glm4,
  className: 'Glm4',
  defaults: {
    ...decoderDefaults,
    intermediate_size: 13696,
    num_hidden_layers: 40,
    num_key_value_heads: 2,
    head_dim: 128,
    max_position_embeddings: 131072,
    rms_norm_eps: 1.5625e-7,
    pad_token_id: 151329,
    bos_token_id: null,
    eos_token_id: [151329, 151336, 151338],
    attention_bias: true,
  },
  rope: { theta: 10000, partial: 0.5 },
  gguf: {
    saved: () => ({}),
    names: {
      ...ggufNames,
      'blk.*.ffn_up': 'model.layers.*.mlp.gate_up_proj',
      'blk.*.post_attention_norm': 'model.layers.*.post_self_attn_layernorm',
      'blk.*.post_ffw_norm': 'model.layers.*.post_mlp_layernorm',
    },
  },
};
