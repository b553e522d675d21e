import type { Tensor } from '../../core/tensor.js';
import { MultiHeadAttention, type MultiHeadOptions } from '../../nn/attention.js';
import type { Initializer } from '../../nn/init.js';
import { TransformerLayer } from '../../nn/layer.js';
import { type Norm, RMSNorm } from '../../nn/norm.js';
import type { StateNames } from '../../nn/state-names.js';
import { activationOf, rotaryOf } from '../config-values.js';
import type { Family } from '../family.js';
import type { ModelConfig } from '../model-config.js';
import { decoderDefaults, Llama, llamaAttentionOptions, llamaFeedForward, type MakeNorm } from './llama.js';

/**
 * BitNet b1.58 (Ma et al. 2025, arXiv 2504.12285), with unpacked weights: norms inside sub-layers, and squared ReLU.
 */
export class BitNet extends Llama {
  protected override get answersQuestions(): boolean {
    return false;
  }

  protected override layers(init: Initializer, config: ModelConfig, norm: MakeNorm): () => TransformerLayer {
    const rotary = rotaryOf(init, config);
    const bias = config.flag('attention_bias');
    const inner = (features: number) => () => new RMSNorm(init, features, config.number('rms_norm_eps'));
    const heads = config.size('num_attention_heads') * config.size('head_dim');
    const attention = () => llamaAttentionOptions(config, this.randomness, { rotary, bias });
    const activation = activationOf(config.text('hidden_act'));
    return () =>
      new TransformerLayer({
        selfAttn: () => new NormedOutputAttention(init, attention(), inner(heads)),
        feedForward: () =>
          llamaFeedForward(init, config, { activation, hiddenNorm: inner(config.size('intermediate_size')) }),
        norm,
        wiring: 'pre',
        randomness: this.randomness,
      });
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
