import { ArgumentError } from '../../core/errors.js';
import type { MultiHeadOptions } from '../../nn/attention.js';
import type { Initializer } from '../../nn/init.js';
import { windowOf } from '../config-values.js';
import type { Family } from '../family.js';
import { eachLayer, type ModelConfig, numberIn } from '../model-config.js';
import { decoderDefaults, ggufNames, Llama } from './llama.js';

/** SmolLM3 (2025): Llama in which some layers have no positions (Yang et al. 2025, arXiv 2501.18795). */
export class SmolLM3 extends Llama {
  protected override attentionOptions(_init: Initializer, config: ModelConfig, i: number): Partial<MultiHeadOptions> {
    const rotates = config.list('no_rope_layers')[i]; // despite its name, 1 for layers that have positions
    return { bias: config.flag('attention_bias'), window: windowOf(config, i), ...(!rotates && { rotary: null }) };
  }
}

export const smolLM3: Family = {
  model: SmolLM3,
  className: 'SmolLM3',
  defaults: {
    ...decoderDefaults,
    hidden_size: 2048,
    num_hidden_layers: 36,
    num_attention_heads: 16,
    num_key_value_heads: 4,
    max_position_embeddings: 32768,
    use_sliding_window: false,
    sliding_window: null,
    no_rope_layer_interval: 4,
    pad_token_id: 128004,
    bos_token_id: 128000,
    eos_token_id: 128001,
    attention_bias: false,
    mlp_bias: false,
    tie_word_embeddings: true,
  },
  complete: (config) => {
    const interval = numberIn(config, 'no_rope_layer_interval');
    config.no_rope_layers ??= eachLayer(config, (layer) => ((layer + 1) % interval === 0 ? 0 : 1));
  },
  isSliding: (layer, config) =>
    config.use_sliding_window === true &&
    config.sliding_window != null &&
    (config.no_rope_layers as unknown[])[layer] === 0,
  rope: { theta: 2000000 },
  gguf: {
    names: ggufNames,
    pairedRows: ['attn_q', 'attn_k'],
    saved: (config) => {
      const rotates = config.list('no_rope_layers');
      if (config.flag('use_sliding_window') || rotates.some((flag, i) => flag !== Number((i + 1) % 4 !== 0)))
        throw new ArgumentError(
          'saveGguf: in files of smollm3, one of four layers has no positions, and none has a window',
        );
      return {};
    },
  },
};
