import type { Tensor } from '../../core/tensor.js';
import { Dropout } from '../../nn/dropout.js';
import type { Initializer } from '../../nn/init.js';
import { TransformerLayer } from '../../nn/layer.js';
import { LayerNorm, type Norm } from '../../nn/norm.js';
import type { StateNames } from '../../nn/state-names.js';
import { dropoutOf, rotaryOf } from '../config-values.js';
import type { Family } from '../family.js';
import type { ModelConfig } from '../model-config.js';
import { decoderDefaults, ggufNames, Llama, llamaAttention, llamaFeedForward, type MakeNorm } from './llama.js';

/**
 * StarCoder 2 (Lozhkov et al. 2024, arXiv 2402.19173): layer norms, biases, and a feed-forward network without a gate.
 */
export class Starcoder2 extends Llama {
  protected override get answersQuestions(): boolean {
    return false;
  }

  protected override norm(init: Initializer, config: ModelConfig): Norm {
    return new LayerNorm(init, config.size('hidden_size'), config.number('norm_epsilon'));
  }

  protected override embedTarget(ids: Tensor): Tensor {
    return dropoutOf(this.settings, 'embedding_dropout', this.randomness).forward(super.embedTarget(ids));
  }

  protected override layers(init: Initializer, config: ModelConfig, norm: MakeNorm): () => TransformerLayer {
    const rotary = rotaryOf(init, config);
    const window = config.sizeOrNull('sliding_window');
    const bias = config.flag('use_bias');
    return () =>
      new TransformerLayer({
        selfAttn: () => llamaAttention(init, config, this.randomness, { rotary, window, bias }),
        feedForward: () => llamaFeedForward(init, config, { gated: false, bias }),
        norm,
        dropout: () => new Dropout(config.number('residual_dropout'), this.randomness),
        wiring: 'pre',
        randomness: this.randomness,
      });
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
    config: (file) => ({
      ...file.decoder(),
      norm_epsilon: file.needed('attention.layer_norm_epsilon'),
      use_bias: file.tensors.has('blk.0.attn_q.bias'),
    }),
  },
};
