import type { Tensor } from '../../core/tensor.js';
import { MultiHeadAttention, type MultiHeadOptions } from '../../nn/attention.js';
import type { Initializer } from '../../nn/init.js';
import type { FeedForwardNetwork } from '../../nn/layer.js';
import { type Norm, RMSNorm } from '../../nn/norm.js';
import type { StateNames } from '../../nn/state-names.js';
import type { Family } from '../family.js';
import type { ModelConfig } from '../model-config.js';
import { decoderDefaults, llamaFeedForward, type MakeAttention, RotaryDecoder } from './llama.js';

/**
 * BitNet b1.58 (Ma et al. 2025, arXiv 2504.12285), with unpacked weights: norms inside sub-layers, and squared ReLU.
 */
export class BitNet extends RotaryDecoder {
  protected override attention(init: Initializer, config: ModelConfig): MakeAttention {
    const heads = config.size('num_attention_heads') * config.size('head_dim');
    return (options) => new NormedOutputAttention(init, options, () => innerNorm(init, config, heads));
  }

  protected override network(init: Initializer, config: ModelConfig): FeedForwardNetwork {
    const hiddenNorm = () => innerNorm(init, config, config.size('intermediate_size'));
    return llamaFeedForward(init, config, { hiddenNorm });
  }

  protected override get stateNames(): StateNames {
    const [path, layer] = ['decoder.layers.*', 'model.layers.*'];
    return {
      [`${path}.self_attn.out_norm`]: `${layer}.self_attn.attn_sub_norm`,
      [`${path}.feed_forward.hidden_norm`]: `${layer}.mlp.ffn_sub_norm`,
      ...super.stateNames,
    };
  }
}

/** A norm inside a sub-layer. */
function innerNorm(init: Initializer, config: ModelConfig, features: number): Norm {
  return new RMSNorm(init, features, config.number('rms_norm_eps'));
}

/** Attention that normalizes the concatenated outputs of the heads before their projection. */
class NormedOutputAttention extends MultiHeadAttention {
  readonly outNorm: Norm;

  constructor(init: Initializer, options: MultiHeadOptions, outNorm: () => Norm) {
    super(init, options);
    this.outNorm = outNorm();
  }

  protected override projectOut(mixed: Tensor): Tensor {
    return super.projectOut(this.outNorm.forward(mixed));
  }
}

export const bitnet: Family = {
  model: BitNet,
  className: 'BitNet',
  defaults: {
    ...decoderDefaults,
    vocab_size: 128256,
    hidden_size: 2560,
    intermediate_size: 6912,
    num_hidden_layers: 30,
    num_attention_heads: 20,
    num_key_value_heads: 5,
    hidden_act: 'relu2',
    rms_norm_eps: 1e-5,
    bos_token_id: 128000,
    eos_token_id: 128001,
    attention_bias: false,
  },
  rope: { theta: 500000 },
};
