import type { MultiHeadOptions } from '../../nn/attention.js';
import type { Initializer } from '../../nn/init.js';
import type { FeedForwardNetwork } from '../../nn/layer.js';
import type { RotaryEmbedding } from '../../nn/rotary-embedding.js';
import { rotaryOf } from '../config-values.js';
import type { Family } from '../family.js';
import type { ModelConfig } from '../model-config.js';
import { decoderDefaults, ggufNames, llamaFeedForward, RotaryDecoder } from './llama.js';

/** ERNIE 4.5 (Baidu 2025), the dense models: Llama whose rotation pairs neighbouring features. */
export class Ernie45 extends RotaryDecoder {
  protected override rotary(init: Initializer, config: ModelConfig): RotaryEmbedding | null {
    return rotaryOf(init, config, { layout: 'interleaved' });
  }

  protected override attentionOptions(_init: Initializer, config: ModelConfig): Partial<MultiHeadOptions> {
    return { bias: config.flag('use_bias') };
  }

  protected override network(init: Initializer, config: ModelConfig, _i: number): FeedForwardNetwork {
    return llamaFeedForward(init, config, { bias: config.flag('use_bias') });
  }
}

export const ernie45: Family = {
  model: Ernie45,
  className: 'Ernie4_5',
  defaults: {
    ...decoderDefaults,
    hidden_size: 1024,
    intermediate_size: 3072,
    num_hidden_layers: 18,
    num_attention_heads: 16,
    num_key_value_heads: 2,
    head_dim: 128,
    max_position_embeddings: 131072,
    rms_norm_eps: 1e-5,
    pad_token_id: 0,
    tie_word_embeddings: true,
    use_bias: false,
  },
  rope: { theta: 500000 },
  gguf: {
    names: ggufNames,
    saved: () => ({}),
    config: (file) => ({ ...file.decoder(), use_bias: file.tensors.has('blk.0.attn_q.bias') }),
  },
};
