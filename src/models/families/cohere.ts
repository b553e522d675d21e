import type { MultiHeadOptions } from '../../nn/attention.js';
import type { Initializer } from '../../nn/init.js';
import type { LayerParts } from '../../nn/layer.js';
import { LayerNorm, type Norm } from '../../nn/norm.js';
import type { RotaryEmbedding } from '../../nn/rotary-embedding.js';
import type { StateNames } from '../../nn/state-names.js';
import { rotaryOf, windowOf } from '../config-values.js';
import type { Family, GgufNumber, GgufSettings } from '../family.js';
import { expectForGguf } from '../gguf-mixtures.js';
import { type Json, type ModelConfig, numberIn } from '../model-config.js';
import { decoderDefaults, ggufNames, ggufWindows, llamaHeadNorms, RotaryDecoder } from './llama.js';

/** Command R (Cohere 2024): both sub-layers read one norm without a bias, and logits are scaled. */
export class Cohere extends RotaryDecoder {
  protected override norm(init: Initializer, config: ModelConfig): Norm {
    return new LayerNorm(init, config.size('hidden_size'), config.number('layer_norm_eps'), false);
  }

  protected override rotary(init: Initializer, config: ModelConfig): RotaryEmbedding | null {
    return rotaryOf(init, config, { layout: 'interleaved' });
  }

  protected override attentionOptions(init: Initializer, config: ModelConfig, _i: number): Partial<MultiHeadOptions> {
    return { bias: config.flag('attention_bias'), ...llamaHeadNorms(init, config, 'use_qk_norm') };
  }

  protected override layerParts(init: Initializer, config: ModelConfig): Partial<LayerParts> {
    const norm = this.norm(init, config);
    return { norm: () => norm, wiring: 'parallel' };
  }

  protected override get stateNames(): StateNames {
    const attention = 'model.layers.*.self_attn';
    const perHead = (name: string, heads: string) => ({ name, leading: [this.settings.size(heads)] });
    return {
      'decoder.layers.*.self_attn.q_norm.weight': perHead(`${attention}.q_norm.weight`, 'num_attention_heads'),
      'decoder.layers.*.self_attn.k_norm.weight': perHead(`${attention}.k_norm.weight`, 'num_key_value_heads'),
      ...super.stateNames,
    };
  }

  protected override get logitScale(): number {
    return this.settings.number('logit_scale');
  }
}

/** Command R7B and Command A (2025, arXiv 2504.00698): three of four layers have windows, and only these rotate. */
export class Cohere2 extends Cohere {
  protected override attentionOptions(_init: Initializer, config: ModelConfig, i: number): Partial<MultiHeadOptions> {
    const window = windowOf(config, i);
    return { bias: config.flag('attention_bias'), window, ...(window === null && { rotary: null }) };
  }
}

const defaults = {
  ...decoderDefaults,
  hidden_size: 8192,
  intermediate_size: 22528,
  logit_scale: 0.0625,
  num_hidden_layers: 40,
  num_attention_heads: 64,
  max_position_embeddings: 8192,
  layer_norm_eps: 1e-5,
  pad_token_id: 0,
  bos_token_id: 5,
  eos_token_id: 255001,
  tie_word_embeddings: true,
  attention_bias: false,
};

/** The settings that `saveGguf` writes. */
function cohereSaved(config: ModelConfig): Record<string, GgufNumber> {
  expectForGguf(config, { tie_word_embeddings: true, attention_bias: false });
  return { logit_scale: { float32: config.number('logit_scale') } };
}

/** The settings of a GGUF file. */
function cohereSettings(file: GgufSettings): Json {
  const logit_scale = file.needed('logit_scale');
  return { ...file.decoder(), logit_scale, layer_norm_eps: file.needed('attention.layer_norm_epsilon') };
}

export const cohere: Family = {
  model: Cohere,
  className: 'Cohere',
  defaults: { ...defaults, use_qk_norm: false },
  rope: { theta: 500000 },
  gguf: {
    names: ggufNames,
    saved: cohereSaved,
    config: (file) => ({ ...cohereSettings(file), use_qk_norm: file.tensors.has('blk.0.attn_q_norm.weight') }),
  },
};

export const cohere2: Family = {
  model: Cohere2,
  className: 'Cohere2',
  defaults: { ...defaults, sliding_window: 4096, sliding_window_pattern: 4 },
  isSliding: (layer, config) => (layer + 1) % numberIn(config, 'sliding_window_pattern') !== 0,
  rope: { theta: 10000 },
  gguf: {
    names: ggufNames,
    saved: (config) => ({ ...cohereSaved(config), ...ggufWindows(config) }),
    config: (file) => ({
      ...cohereSettings(file),
      sliding_window: file.needed('attention.sliding_window'),
      layer_types: file.layerTypes(4),
    }),
  },
};
