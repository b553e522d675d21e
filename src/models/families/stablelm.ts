import type { MultiHeadOptions } from '../../nn/attention.js';
import { Dropout } from '../../nn/dropout.js';
import type { Initializer } from '../../nn/init.js';
import type { LayerParts } from '../../nn/layer.js';
import { LayerNorm, type Norm } from '../../nn/norm.js';
import type { RotaryEmbedding } from '../../nn/rotary-embedding.js';
import type { StateNames } from '../../nn/state-names.js';
import { rotaryOf } from '../config-values.js';
import type { Family } from '../family.js';
import type { ModelConfig } from '../model-config.js';
import { decoderDefaults, ggufNames, llamaHeadNorms, RotaryDecoder } from './llama.js';

/** StableLM (Bellagente et al. 2024, arXiv 2402.17834): layer norms, and rotation of a quarter of each head. */
export class StableLm extends RotaryDecoder {
  protected override norm(init: Initializer, config: ModelConfig): Norm {
    return new LayerNorm(init, config.size('hidden_size'), config.number('layer_norm_eps'));
  }

  protected override rotary(init: Initializer, config: ModelConfig): RotaryEmbedding | null {
    return rotaryOf(init, config, { even: true });
  }

  protected override attentionOptions(init: Initializer, config: ModelConfig): Partial<MultiHeadOptions> {
    const headNorms = llamaHeadNorms(init, config, 'qk_layernorm');
    return { bias: config.flag('use_qkv_bias'), outBias: false, ...headNorms };
  }

  protected override layerParts(init: Initializer, config: ModelConfig): Partial<LayerParts> {
    const dropout = () => new Dropout(config.number('hidden_dropout'), this.randomness);
    const norm = this.norm(init, config);
    return {
      dropout: (subLayer) => (subLayer === 1 ? dropout() : null),
      ...(config.flag('use_parallel_residual') && { norm: () => norm, wiring: 'parallel' }),
    };
  }

  protected override get stateNames(): StateNames {
    const attention = 'model.layers.*.self_attn';
    const normNames = (name: string, heads: string) =>
      Array.from({ length: this.settings.size(heads) }, (_, head) => `${attention}.${name}.norms.${head}.weight`);
    return {
      'decoder.layers.*.self_attn.q_norm.weight': normNames('q_layernorm', 'num_attention_heads'),
      'decoder.layers.*.self_attn.k_norm.weight': normNames('k_layernorm', 'num_key_value_heads'),
      ...super.stateNames,
    };
  }
}

export const stableLm: Family = {
  model: StableLm,
  className: 'StableLm',
  defaults: {
    ...decoderDefaults,
    hidden_size: 2560,
    intermediate_size: 6912,
    num_key_value_heads: 32,
    max_position_embeddings: 4096,
    layer_norm_eps: 1e-5,
    bos_token_id: 0,
    eos_token_id: 0,
    use_qkv_bias: false,
    qk_layernorm: false,
    use_parallel_residual: false,
    hidden_dropout: 0,
  },
  rope: { theta: 10000, partial: 0.25 },
  gguf: {
    names: {
      ...ggufNames,
      'blk.*.attn_q_norm.weight': 'model.layers.*.self_attn.q_layernorm.norms.#.weight',
      'blk.*.attn_k_norm.weight': 'model.layers.*.self_attn.k_layernorm.norms.#.weight',
    },
    needsOutput: true,
    saved: (config) => ({ use_parallel_residual: { bool: config.flag('use_parallel_residual') } }),
    config: (file) => ({
      ...file.decoder(),
      layer_norm_eps: file.needed('attention.layer_norm_epsilon'),
      use_qkv_bias: file.tensors.has('blk.0.attn_q.bias'),
      qk_layernorm: file.tensors.has('blk.0.attn_q_norm.weight'),
      use_parallel_residual: !file.tensors.has('blk.0.ffn_norm.weight'), // llama.cpp decides by the same
    }),
  },
};
