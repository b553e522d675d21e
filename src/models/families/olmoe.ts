import type { Tensor } from '../../core/tensor.js';
import { MultiHeadAttention, type MultiHeadOptions } from '../../nn/attention.js';
import type { Initializer } from '../../nn/init.js';
import type { FeedForwardNetwork } from '../../nn/layer.js';
import type { Norm } from '../../nn/norm.js';
import type { StateNames } from '../../nn/state-names.js';
import { clamp } from '../../ops/unary.js';
import type { Family } from '../family.js';
import { expectForGguf, ggufExpertCounts } from '../gguf-mixtures.js';
import { mixture, routerLoss } from '../mixtures.js';
import type { ModelConfig } from '../model-config.js';
import { decoderDefaults, ggufNames, type MakeAttention, RotaryDecoder, rmsNormsAcrossHeads } from './llama.js';
import { expertNames, ggufExpertNames } from './qwen3-moe.js';

/**
 * OLMoE (Muennighoff et al. 2024, arXiv 2409.02060): a mixture of experts. Queries and keys are normalized across all
 * heads.
 */
export class Olmoe extends RotaryDecoder {
  protected override attentionOptions(init: Initializer, config: ModelConfig): Partial<MultiHeadOptions> {
    return { bias: config.flag('attention_bias'), ...rmsNormsAcrossHeads(init, config) };
  }

  protected override attention(init: Initializer, config: ModelConfig): MakeAttention {
    return (options) => new ClippedAttention(init, options, config.numberOrNull('clip_qkv'));
  }

  protected override network(init: Initializer, config: ModelConfig): FeedForwardNetwork {
    const normalized = config.flag('norm_topk_prob');
    return mixture(init, config, { experts: 'num_experts', dFF: 'intermediate_size', normalized });
  }

  protected override get furtherLoss() {
    return routerLoss(this, this.settings);
  }

  protected override get stateNames(): StateNames {
    return { ...expertNames('model.layers.*.mlp', this.settings.size('num_experts')), ...super.stateNames };
  }
}

/** Attention that clamps queries, keys and values to ±clip, after the norms and before the rotation. Null: no limit. */
class ClippedAttention extends MultiHeadAttention {
  constructor(
    init: Initializer,
    options: MultiHeadOptions,
    readonly clip: number | null,
  ) {
    super(init, options);
  }

  protected override normalize(part: Tensor, norm: Norm | null): Tensor {
    const { clip } = this;
    const normed = super.normalize(part, norm);
    return clip === null ? normed : clamp(normed, { min: -clip, max: clip });
  }
}

export const olmoe: Family = {
  model: Olmoe,
  className: 'Olmoe',
  defaults: {
    ...decoderDefaults,
    hidden_size: 2048,
    intermediate_size: 2048,
    num_hidden_layers: 16,
    num_attention_heads: 16,
    max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
    pad_token_id: 1,
    bos_token_id: null,
    eos_token_id: 50279,
    attention_bias: false,
    clip_qkv: null,
    num_experts_per_tok: 8,
    num_experts: 64,
    norm_topk_prob: false,
    output_router_logits: false,
    router_aux_loss_coef: 0.01,
  },
  complete: (config, fileConfig) => {
    config.num_experts = fileConfig.num_experts ?? fileConfig.num_local_experts ?? config.num_experts;
  },
  rope: { theta: 10000 },
  gguf: {
    needsOutput: true,
    saved: (config) => {
      // llama.cpp expects as many norms of keys as of queries.
      const heads = config.size('num_attention_heads');
      expectForGguf(config, { norm_topk_prob: false, clip_qkv: null, num_key_value_heads: heads });
      return {
        ...ggufExpertCounts(config, 'num_experts'),
        expert_feed_forward_length: { uint32: config.size('intermediate_size') },
      };
    },
    names: { ...ggufNames, ...ggufExpertNames('model.layers.*.mlp') },
    config: (file) => ({
      ...file.decoder(),
      num_experts: file.needed('expert_count'),
      num_experts_per_tok: file.needed('expert_used_count'),
      norm_topk_prob: false,
      clip_qkv: file.number('attention.clamp_kqv') || null, // 0: no limit
    }),
  },
};
