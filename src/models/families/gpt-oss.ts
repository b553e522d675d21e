import type { Tensor } from '../../core/tensor.js';
import { MultiHeadAttention, type MultiHeadOptions } from '../../nn/attention.js';
import type { Initializer } from '../../nn/init.js';
import type { FeedForwardNetwork } from '../../nn/layer.js';
import { MixtureOfExperts } from '../../nn/mixture-of-experts.js';
import type { StateNames } from '../../nn/state-names.js';
import type { AttentionOptions, AttentionValueOptions } from '../../ops/attention.js';
import { attentionWeights } from '../../ops/attention-weights.js';
import { add } from '../../ops/binary.js';
import { contiguous } from '../../ops/contiguous.js';
import { concat } from '../../ops/move.js';
import { softmax } from '../../ops/softmax.js';
import { expertSizes, windowOf } from '../config-values.js';
import type { Family } from '../family.js';
import { expectForGguf, ggufExpertCounts } from '../gguf-mixtures.js';
import { routerLoss } from '../mixtures.js';
import type { Json, ModelConfig } from '../model-config.js';
import { decoderDefaults, ggufNames, ggufWindows, type MakeAttention, RotaryDecoder } from './llama.js';

const BLOCK = 'model.layers.*.mlp';

/**
 * gpt-oss (OpenAI 2025, arXiv 2508.10925): attention with sinks, a window in every other layer, and experts with
 * clamped activations.
 */
export class GptOss extends RotaryDecoder {
  protected override attentionOptions(_init: Initializer, config: ModelConfig, i: number): Partial<MultiHeadOptions> {
    return { bias: config.flag('attention_bias'), window: windowOf(config, i) };
  }

  protected override attention(init: Initializer): MakeAttention {
    return (options) => new SinkAttention(init, options);
  }

  protected override network(init: Initializer, config: ModelConfig): FeedForwardNetwork {
    config.expect('swiglu_alpha', 1.702); // the factor of quickGelu
    return new MixtureOfExperts(init, {
      ...expertSizes(config, 'num_local_experts', 'intermediate_size'),
      activation: 'quickGelu',
      limit: config.number('swiglu_limit'),
      weights: 'softmaxOfChosen',
      fused: 'alternating',
      bias: true,
    });
  }

  protected override get furtherLoss() {
    return routerLoss(this, this.settings);
  }

  protected override get stateNames(): StateNames {
    const experts = this.settings.size('num_local_experts');
    const path = 'decoder.layers.*.feed_forward';
    return {
      'decoder.layers.*.self_attn.sinks': 'model.layers.*.self_attn.sinks',
      [`${path}.router`]: `${BLOCK}.router`,
      [`${path}.gates.weight`]: { name: `${BLOCK}.experts.gate_up_proj`, inOut: true, stacked: experts },
      [`${path}.gates.bias`]: { name: `${BLOCK}.experts.gate_up_proj_bias`, leading: [experts] },
      [`${path}.downs.weight`]: { name: `${BLOCK}.experts.down_proj`, inOut: true, stacked: experts },
      [`${path}.downs.bias`]: { name: `${BLOCK}.experts.down_proj_bias`, leading: [experts] },
      ...super.stateNames,
    };
  }
}

/** Attention in which each head has a trained score that is part of the softmax's sum, but has no value. */
class SinkAttention extends MultiHeadAttention {
  /** float32 [heads] */
  readonly sinks: Tensor;

  constructor(init: Initializer, options: MultiHeadOptions) {
    super(init, options);
    this.sinks = init.constant([options.heads], 0);
  }

  protected override attend(q: Tensor, k: Tensor, v: Tensor, options: AttentionValueOptions): Tensor {
    return super.attend(q, k, v, { ...options, sinks: this.sinks });
  }

  protected override weights(q: Tensor, k: Tensor, options: AttentionOptions): Tensor {
    const scores = attentionWeights(q, k, { ...options, stage: 'biased' }); // [B, heads, T, S]
    const [batch, heads, queries, keys] = scores.shape as readonly [number, number, number, number];
    const sink = add(scores.device.zeros([batch, heads, queries, 1]), this.sinks.reshape(1, heads, 1, 1));
    return contiguous(softmax(concat([scores, sink], -1)).columns(0, keys));
  }
}

export const gptOss: Family = {
  model: GptOss,
  className: 'GptOss',
  defaults: {
    ...decoderDefaults,
    vocab_size: 201088,
    hidden_size: 2880,
    intermediate_size: 2880,
    num_hidden_layers: 36,
    num_attention_heads: 64,
    num_key_value_heads: 8,
    head_dim: 64,
    sliding_window: 128,
    max_position_embeddings: 131072,
    rms_norm_eps: 1e-5,
    bos_token_id: null,
    eos_token_id: null,
    attention_bias: true,
    num_local_experts: 128,
    num_experts_per_tok: 4,
    swiglu_alpha: 1.702,
    swiglu_limit: 7,
    output_router_logits: false,
    router_aux_loss_coef: 0.001,
  },
  complete: (config, fileConfig) => {
    config.num_local_experts = fileConfig.num_local_experts ?? fileConfig.num_experts ?? config.num_local_experts;
    if (fileConfig.rope_parameters == null && fileConfig.rope_scaling == null)
      config.rope_parameters = {
        rope_type: 'yarn',
        rope_theta: fileConfig.rope_theta ?? 150000,
        factor: 32,
        beta_fast: 32,
        beta_slow: 1,
        truncate: false,
        original_max_position_embeddings: 4096,
      };
  },
  isSliding: (layer) => (layer + 1) % 2 !== 0,
  rope: { theta: 150000 },
  gguf: {
    names: {
      ...ggufNames,
      'blk.*.post_attention_norm': 'model.layers.*.post_attention_layernorm',
      'blk.*.attn_sinks.weight': 'model.layers.*.self_attn.sinks',
      'blk.*.ffn_gate_inp': `${BLOCK}.router`,
      'blk.*.ffn_down_exps.bias': `${BLOCK}.experts.down_proj_bias`,
    },
    joined: [
      {
        name: `${BLOCK}.experts.gate_up_proj`,
        of: ['blk.*.ffn_gate_exps.weight', 'blk.*.ffn_up_exps.weight'],
        alternating: true,
        inOut: true,
      },
      {
        name: `${BLOCK}.experts.gate_up_proj_bias`,
        of: ['blk.*.ffn_gate_exps.bias', 'blk.*.ffn_up_exps.bias'],
        alternating: true,
      },
      { name: `${BLOCK}.experts.down_proj`, of: ['blk.*.ffn_down_exps.weight'], inOut: true },
    ],
    needsOutput: true,
    tellsYarnTruncation: true,
    saved: (config) => {
      expectForGguf(config, { attention_bias: true, swiglu_limit: 7 });
      return {
        ...ggufExpertCounts(config, 'num_local_experts'),
        ...ggufWindows(config),
        expert_feed_forward_length: { uint32: config.size('intermediate_size') },
      };
    },
    config: (file) => {
      const decoder = file.decoder();
      const rope = decoder.rope_parameters as Json;
      return {
        ...decoder,
        rope_parameters:
          rope.rope_type === 'yarn' ? { ...rope, truncate: file.flag('rope.scaling.yarn_truncate') ?? false } : rope,
        intermediate_size: file.needed('expert_feed_forward_length'),
        num_local_experts: file.needed('expert_count'),
        num_experts_per_tok: file.needed('expert_used_count'),
        sliding_window: file.needed('attention.sliding_window'),
        layer_types: file.layerTypes(2),
      };
    },
  },
};
