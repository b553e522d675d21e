import type { Tensor } from '../../core/tensor.js';
import { MultiHeadAttention, type MultiHeadOptions, type RotaryContext } from '../../nn/attention.js';
import type { Initializer } from '../../nn/init.js';
import type { Norm } from '../../nn/norm.js';
import type { Sequences } from '../../nn/sequences.js';
import type { StateNames } from '../../nn/state-names.js';
import type { Family } from '../family.js';
import { expectForGguf } from '../gguf-mixtures.js';
import type { PaddedBatch } from '../inputs.js';
import type { ModelConfig } from '../model-config.js';
import { decoderDefaults, ggufNames, type MakeAttention, RotaryDecoder, rmsHeadNorms } from './llama.js';

/** Hunyuan's dense models (Tencent 2025): Llama that normalizes queries and keys after their rotation. */
export class HunYuan extends RotaryDecoder {
  protected override attentionOptions(init: Initializer, config: ModelConfig): Partial<MultiHeadOptions> {
    return { bias: config.flag('attention_bias'), ...rmsHeadNorms(init, config) };
  }

  protected override attention(init: Initializer): MakeAttention {
    return (options) => new RotatedFirstAttention(init, options);
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
    saved: (config) => {
      expectForGguf(config, { attention_bias: false });
      return {};
    },
  },
};
