import { ArgumentError } from '../../core/errors.js';
import type { Initializer } from '../../nn/init.js';
import type { FeedForwardNetwork } from '../../nn/layer.js';
import type { StateNames } from '../../nn/state-names.js';
import type { Family, GgufFamily } from '../family.js';
import { expectForGguf, ggufExpertCounts } from '../gguf-mixtures.js';
import { mixture, routerLoss } from '../mixtures.js';
import { type ModelConfig, numberIn } from '../model-config.js';
import { ggufNames, llamaFeedForward } from './llama.js';
import { Qwen3, qwen3 } from './qwen.js';

/** Qwen3's mixtures of experts (Yang et al. 2025, arXiv 2505.09388): Qwen3 with sparse feed-forward networks. */
export class Qwen3Moe extends Qwen3 {
  protected override network(init: Initializer, config: ModelConfig, layer: number): FeedForwardNetwork {
    if (!isSparse(config, layer)) return llamaFeedForward(init, config);
    const normalized = config.flag('norm_topk_prob');
    return mixture(init, config, { experts: 'num_experts', dFF: 'moe_intermediate_size', normalized });
  }

  protected override get furtherLoss() {
    return routerLoss(this, this.settings);
  }

  protected override get stateNames(): StateNames {
    return { ...expertNames(`${this.bodyName}.layers.*.mlp`, this.settings.size('num_experts')), ...super.stateNames };
  }
}

/** True if a layer has experts. */
function isSparse(config: ModelConfig, layer: number): boolean {
  const step = config.size('decoder_sparse_step');
  return !config.list('mlp_only_layers').includes(layer) && (layer + 1) % step === 0;
}

/**
 * Names of a `MixtureOfExperts` whose checkpoint stores each expert separately. `block` is the path of its module
 * there, `path` that of ours.
 */
export function expertNames(block: string, experts: number, path = 'decoder.layers.*.feed_forward'): StateNames {
  const ofExperts = (name: string) => Array.from({ length: experts }, (_, i) => `${block}.experts.${i}.${name}`);
  return {
    [`${path}.router`]: `${block}.gate`,
    [`${path}.gates`]: ofExperts('gate_proj'),
    [`${path}.ups`]: ofExperts('up_proj'),
    [`${path}.downs`]: ofExperts('down_proj'),
  };
}

/** Names in GGUF files of a mixture whose checkpoint stores each expert separately. */
export function ggufExpertNames(block: string): GgufFamily['names'] {
  return {
    'blk.*.ffn_gate_inp': `${block}.gate`,
    'blk.*.ffn_gate_exps': `${block}.experts.#.gate_proj`,
    'blk.*.ffn_up_exps': `${block}.experts.#.up_proj`,
    'blk.*.ffn_down_exps': `${block}.experts.#.down_proj`,
  };
}

export const qwen3Moe: Family = {
  model: Qwen3Moe,
  className: 'Qwen3Moe',
  defaults: {
    ...qwen3.defaults,
    hidden_size: 2048,
    intermediate_size: 6144,
    num_hidden_layers: 24,
    num_key_value_heads: 4,
    head_dim: null,
    decoder_sparse_step: 1,
    moe_intermediate_size: 768,
    num_experts_per_tok: 8,
    num_experts: 128,
    norm_topk_prob: false,
    output_router_logits: false,
    router_aux_loss_coef: 0.001,
    mlp_only_layers: null,
  },
  complete: (config, fileConfig) => {
    config.num_experts = fileConfig.num_experts ?? fileConfig.num_local_experts ?? config.num_experts;
    config.mlp_only_layers ??= [];
    const hasWindow = config.use_sliding_window === true && config.sliding_window != null;
    // Unlike in Qwen3, a window applies to all layers.
    config.layer_types ??= Array.from({ length: numberIn(config, 'num_hidden_layers') }, () =>
      hasWindow ? 'sliding_attention' : 'full_attention',
    );
  },
  rope: { theta: 10000 },
  gguf: {
    saved: (config) => {
      const unusual = { hidden_act: 'silu', norm_topk_prob: true, use_sliding_window: false, decoder_sparse_step: 1 };
      expectForGguf(config, { ...unusual, attention_bias: false });
      if (config.list('mlp_only_layers').length > 0)
        throw new ArgumentError('saveGguf: llama.cpp knows only files whose layers all have experts');
      return {
        ...ggufExpertCounts(config, 'num_experts'),
        expert_feed_forward_length: { uint32: config.size('moe_intermediate_size') },
      };
    },
    names: { ...ggufNames, ...ggufExpertNames('model.layers.*.mlp') },
    config: (file) => ({
      ...file.decoder(),
      num_experts: file.needed('expert_count'),
      num_experts_per_tok: file.needed('expert_used_count'),
      moe_intermediate_size: file.needed('expert_feed_forward_length'),
      norm_topk_prob: true,
    }),
  },
};
