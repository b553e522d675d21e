import type { Tensor } from '../../core/tensor.js';
import type { MultiHeadOptions } from '../../nn/attention.js';
import { Dropout } from '../../nn/dropout.js';
import type { Initializer } from '../../nn/init.js';
import type { FeedForwardNetwork, LayerParts } from '../../nn/layer.js';
import { LayerNorm, type Norm } from '../../nn/norm.js';
import type { StateNames } from '../../nn/state-names.js';
import { dropoutOf } from '../config-values.js';
import type { Family } from '../family.js';
import { expectForGguf, ggufContextInWindow } from '../gguf-mixtures.js';
import type { ModelConfig } from '../model-config.js';
import { decoderDefaults, ggufNames, llamaFeedForward, RotaryDecoder } from './llama.js';

/**
 * StarCoder 2 (Lozhkov et al. 2024, arXiv 2402.19173): layer norms, biases, and a feed-forward network without a gate.
 */
export class Starcoder2 extends RotaryDecoder {
  protected override norm(init: Initializer, config: ModelConfig): Norm {
    return new LayerNorm(init, config.size('hidden_size'), config.number('norm_epsilon'));
  }

  protected override embedTarget(ids: Tensor): Tensor {
    return dropoutOf(this.settings, 'embedding_dropout', this.randomness).forward(super.embedTarget(ids));
  }

  protected override attentionOptions(_init: Initializer, config: ModelConfig): Partial<MultiHeadOptions> {
    return { window: config.sizeOrNull('sliding_window'), bias: config.flag('use_bias') };
  }

  protected override network(init: Initializer, config: ModelConfig): FeedForwardNetwork {
    return llamaFeedForward(init, config, { gated: false, bias: config.flag('use_bias') });
  }

  protected override layerParts(_init: Initializer, config: ModelConfig): Partial<LayerParts> {
    return { dropout: () => new Dropout(config.number('residual_dropout'), this.randomness) };
  }

  protected override get stateNames(): StateNames {
    return {
      ...super.stateNames,
      'decoder.layers.*.feed_forward.linear1': 'model.layers.*.mlp.c_fc',
      'decoder.layers.*.feed_forward.linear2': 'model.layers.*.mlp.c_proj',
    };
  }
}

export const starcoder2: Family = {
  model: Starcoder2,
  className: 'Starcoder2',
  defaults: {
    ...decoderDefaults,
    hidden_size: 3072,
    intermediate_size: 12288,
    num_hidden_layers: 30,
    num_attention_heads: 24,
    num_key_value_heads: 2,
    hidden_act: 'gelu_pytorch_tanh',
    max_position_embeddings: 4096,
    norm_epsilon: 1e-5,
    bos_token_id: 50256,
    eos_token_id: 50256,
    sliding_window: null,
    residual_dropout: 0,
    embedding_dropout: 0,
    use_bias: true,
    tie_word_embeddings: true,
  },
  rope: { theta: 10000 },
  gguf: {
    names: {
      ...ggufNames,
      'blk.*.ffn_up': 'model.layers.*.mlp.c_fc',
      'blk.*.ffn_down': 'model.layers.*.mlp.c_proj',
    },
    saved: (config) => {
      expectForGguf(config, { use_bias: true });
      return ggufContextInWindow(config);
    },
    config: (file) => ({
      ...file.decoder(),
      norm_epsilon: file.needed('attention.layer_norm_epsilon'),
      use_bias: file.tensors.has('blk.0.attn_q.bias'),
    }),
  },
};
