import type { Tensor } from '../../core/tensor.js';
import { MultiHeadAttention, type RotaryContext } from '../../nn/attention.js';
import type { Initializer } from '../../nn/init.js';
import { TransformerLayer } from '../../nn/layer.js';
import { type Norm, RMSNorm } from '../../nn/norm.js';
import type { Sequences } from '../../nn/sequences.js';
import type { StateNames } from '../../nn/state-names.js';
import { rotaryOf } from '../config-values.js';
import type { Family } from '../family.js';
import type { PaddedBatch } from '../inputs.js';
import type { ModelConfig } from '../model-config.js';
import { decoderDefaults, ggufNames, Llama, llamaAttentionOptions, llamaFeedForward, type MakeNorm } from './llama.js';

/** Hunyuan's dense models (Tencent 2025): Llama that normalizes queries and keys after their rotation. */
export class HunYuan extends Llama {
  protected override get answersQuestions(): boolean {
    return false;
  }

  protected override layers(init: Initializer, config: ModelConfig, norm: MakeNorm): () => TransformerLayer {
    const rotary = rotaryOf(init, config);
    const bias = config.flag('attention_bias');
    const headNorm = () => new RMSNorm(init, config.size('head_dim'), config.number('rms_norm_eps'));
    const attention = { rotary, bias, qNorm: headNorm, kNorm: headNorm };
    return () =>
      new TransformerLayer({
        selfAttn: () => new RotatedFirstAttention(init, llamaAttentionOptions(config, this.randomness, attention)),
        feedForward: () => llamaFeedForward(init, config),
        norm,
        wiring: 'pre',
        randomness: this.randomness,
      });
  }

  /**
   * Padding before tokens counts, as in transformers. The norms after the rotation make attention depend on more than
   * distances.
   */
  protected override sequencesOf(padded: PaddedBatch): Sequences {
    return padded.sequencesInColumns;
  }

  protected override get stateNames(): StateNames {
    const attention = 'model.layers.*.self_attn';
    return {
      ...super.stateNames,
      'decoder.layers.*.self_attn.q_norm': `${attention}.query_layernorm`,
      'decoder.layers.*.self_attn.k_norm': `${attention}.key_layernorm`,
    };
  }
}

/** Attention that rotates queries and keys before it normalizes them. */
class RotatedFirstAttention extends MultiHeadAttention {
  protected override normalizeAndRotate(part: Tensor, norm: Norm | null, context: RotaryContext): Tensor {
    return this.normalize(this.rotate(part, context), norm);
  }
}

export const hunYuan: Family = {
  model: HunYuan,
  className: 'HunYuanDenseV1',
  defaults: { ...decoderDefaults, rms_norm_eps: 1e-5, pad_token_id: 0, attention_bias: false },
  rope: { theta: 10000 },
  gguf: {
    names: {
      ...ggufNames,
      'blk.*.attn_q_norm': 'model.layers.*.self_attn.query_layernorm',
      'blk.*.attn_k_norm': 'model.layers.*.self_attn.key_layernorm',
    },
  },
};
