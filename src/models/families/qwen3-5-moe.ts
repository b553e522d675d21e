import type { Initializer } from '../../nn/init.js';
import type { FeedForwardNetwork } from '../../nn/layer.js';
import { Linear } from '../../nn/linear.js';
import { SharedExperts } from '../../nn/shared-experts.js';
import type { StateNames } from '../../nn/state-names.js';
import type { Family } from '../family.js';
import { ggufExpertCounts } from '../gguf-mixtures.js';
import { mixture, routerLoss } from '../mixtures.js';
import type { ModelConfig } from '../model-config.js';
import { llamaFeedForward } from './llama.js';
import { Qwen35, qwen35, qwen35Gguf } from './qwen3-5.js';
import { expertNames, ggufExpertNames } from './qwen3-moe.js';

/** Qwen 3.5's mixtures of experts (2026): beside the chosen experts, one with a gate processes every token. */
export class Qwen35Moe extends Qwen35 {
  protected override network(init: Initializer, config: ModelConfig): FeedForwardNetwork {
    const experts = () =>
      mixture(init, config, { experts: 'num_experts', dFF: 'moe_intermediate_size', normalized: true });
    const shared = () => llamaFeedForward(init, config, { dFF: config.size('shared_expert_intermediate_size') });
    return new SharedExperts(experts, shared, () => new Linear(init, config.size('hidden_size'), 1, false));
  }

  protected override get furtherLoss() {
    return routerLoss(this, this.settings);
  }

  protected override networkNames(body: string): StateNames {
    const [path, block] = ['decoder.layers.*.feed_forward', `${body}.layers.*.mlp`];
    return {
      ...expertNames(block, this.settings.size('num_experts'), `${path}.experts`),
      [`${path}.shared.linear1`]: `${block}.shared_expert.gate_proj`,
      [`${path}.shared.linear2`]: `${block}.shared_expert.down_proj`,
      [`${path}.shared.linear3`]: `${block}.shared_expert.up_proj`,
      [`${path}.gate`]: `${block}.shared_expert_gate`,
    };
  }
}

const BLOCK = 'model.layers.*.mlp';

export const qwen35Moe: Family = {
  ...qwen35,
  model: Qwen35Moe,
  className: 'Qwen3_5Moe',
  defaults: {
    ...qwen35.defaults,
    hidden_size: 2048,
    num_hidden_layers: 40,
    num_key_value_heads: 2,
    moe_intermediate_size: 512,
    shared_expert_intermediate_size: 512,
    num_experts_per_tok: 8,
    num_experts: 256,
    output_router_logits: false,
    router_aux_loss_coef: 0.001,
  },
  gguf: {
    ...qwen35Gguf,
    names: {
      ...qwen35Gguf.names,
      ...ggufExpertNames(BLOCK),
      'blk.*.ffn_gate_inp_shexp': `${BLOCK}.shared_expert_gate`,
      'blk.*.ffn_gate_shexp': `${BLOCK}.shared_expert.gate_proj`,
      'blk.*.ffn_up_shexp': `${BLOCK}.shared_expert.up_proj`,
      'blk.*.ffn_down_shexp': `${BLOCK}.shared_expert.down_proj`,
    },
    stored: { ...qwen35Gguf.stored, 'blk.*.ffn_gate_inp_shexp.weight': 'row' },
    saved: (config) => ({
      ...qwen35Gguf.saved(config),
      ...ggufExpertCounts(config, 'num_experts'),
      expert_feed_forward_length: { uint32: config.size('moe_intermediate_size') },
      expert_shared_feed_forward_length: { uint32: config.size('shared_expert_intermediate_size') },
    }),
    usual: (config) => ({ intermediate_size: config.size('moe_intermediate_size') }),
    config: (file) => ({
      ...qwen35Gguf.config(file),
      num_experts: file.needed('expert_count'),
      num_experts_per_tok: file.needed('expert_used_count'),
      moe_intermediate_size: file.needed('expert_feed_forward_length'),
      shared_expert_intermediate_size: file.needed('expert_shared_feed_forward_length'),
    }),
  },
};
