import type { Initializer } from '../../nn/init.js';
import { TransformerLayer } from '../../nn/layer.js';
import type { StateNames } from '../../nn/state-names.js';
import { rotaryOf } from '../config-values.js';
import type { Family } from '../family.js';
import type { ModelConfig } from '../model-config.js';
import { decoderDefaults, ggufNames, Llama, llamaAttention, llamaFeedForward, type MakeNorm } from './llama.js';

/**
 * GLM-4-0414 (2025): norms before and after each sub-layer, and rotation of neighbouring features in half of each head.
 */
export class Glm4 extends Llama {
  protected override get answersQuestions(): boolean {
    return false;
  }

  protected override layers(init: Initializer, config: ModelConfig, norm: MakeNorm): () => TransformerLayer {
    const rotary = rotaryOf(init, config, { layout: 'interleaved' });
    const bias = config.flag('attention_bias');
    return () =>
      new TransformerLayer({
        selfAttn: () => llamaAttention(init, config, this.randomness, { rotary, bias, outBias: false }),
        feedForward: () => llamaFeedForward(init, config, { fused: true }),
        norm,
        postNorm: norm,
        wiring: 'pre',
        randomness: this.randomness,
      });
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
