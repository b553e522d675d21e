import { ArgumentError } from '../../core/errors.js';
import type { Initializer } from '../../nn/init.js';
import type { FeedForwardNetwork } from '../../nn/layer.js';
import { MixtureOfExperts } from '../../nn/mixture-of-experts.js';
import { SharedExperts } from '../../nn/shared-experts.js';
import type { StateNames } from '../../nn/state-names.js';
import { activationOf } from '../config-values.js';
import type { Family } from '../family.js';
import { expectForGguf } from '../gguf-mixtures.js';
import { routerLoss } from '../mixtures.js';
import { eachLayer, type ModelConfig } from '../model-config.js';
import { Ernie45, ernie45 } from './ernie4-5.js';
import { ggufNames, llamaFeedForward } from './llama.js';
import { expertNames, ggufExpertNames } from './qwen3-moe.js';

/**
 * ERNIE 4.5's mixtures of experts (Baidu 2025): some layers choose experts by biased shares, beside a shared network.
 */
export class Ernie45Moe extends Ernie45 {
  protected override get outputBias(): boolean {
    return this.settings.flag('use_bias');
  }

  protected override network(init: Initializer, config: ModelConfig, layer: number): FeedForwardNetwork {
    const bias = config.flag('use_bias');
    if (!isSparse(config, layer)) return llamaFeedForward(init, config, { bias });
    const dFF = config.size('moe_intermediate_size');
    const experts = () =>
      new MixtureOfExperts(init, {
        dModel: config.size('hidden_size'),
        dFF,
        experts: config.size('moe_num_experts'),
        chosen: config.size('moe_k'),
        activation: activationOf(config.text('hidden_act')),
        normalized: true,
        minSum: config.number('moe_norm_min'),
        choiceBias: true,
      });
    const shared = config.number('moe_num_shared_experts');
    return shared > 0
      ? new SharedExperts(experts, () => llamaFeedForward(init, config, { bias, dFF: dFF * shared }))
      : experts();
  }

  protected override get furtherLoss() {
    return routerLoss(this, this.settings);
  }

  protected override get stateNames(): StateNames {
    const { settings } = this;
    const hasShared = settings.number('moe_num_shared_experts') > 0;
    const sparse = eachLayer(settings.values, (i): StateNames => {
      if (!isSparse(settings, i)) return {};
      const [path, block] = [`decoder.layers.${i}.feed_forward`, `model.layers.${i}.mlp`];
      const experts = hasShared ? `${path}.experts` : path;
      return {
        ...expertNames(block, settings.size('moe_num_experts'), experts),
        [`${experts}.choice_bias`]: { name: `${block}.moe_statics.e_score_correction_bias`, leading: [1] },
        [`${path}.shared.linear1`]: `${block}.shared_experts.gate_proj`,
        [`${path}.shared.linear2`]: `${block}.shared_experts.down_proj`,
        [`${path}.shared.linear3`]: `${block}.shared_experts.up_proj`,
      };
    });
    return { ...Object.assign({}, ...sparse), ...super.stateNames };
  }
}

/** True if a layer has experts. The last layer with experts is -1 for that of the model. */
function isSparse(config: ModelConfig, layer: number): boolean {
  const [first, last] = [config.number('moe_layer_start_index'), config.number('moe_layer_end_index')];
  const end = last === -1 ? config.size('num_hidden_layers') - 1 : last;
  return (layer + 1) % config.size('moe_layer_interval') === 0 && layer >= first && layer <= end;
}

const BLOCK = 'model.layers.*.mlp';

export const ernie45Moe: Family = {
  ...ernie45,
  model: Ernie45Moe,
  className: 'Ernie4_5_Moe',
  defaults: {
    ...ernie45.defaults,
    vocab_size: 103424,
    hidden_size: 2560,
    intermediate_size: 12288,
    num_hidden_layers: 28,
    num_attention_heads: 20,
    num_key_value_heads: 4,
    head_dim: null,
    moe_intermediate_size: 1536,
    moe_k: 6,
    moe_num_experts: 64,
    moe_num_shared_experts: 2,
    moe_layer_start_index: 1,
    moe_layer_end_index: -1,
    moe_layer_interval: 1,
    moe_norm_min: 1e-12,
    output_router_logits: false,
    router_aux_loss_coef: 0.001,
  },
  gguf: {
    names: {
      ...ggufNames,
      ...ggufExpertNames(BLOCK),
      'blk.*.exp_probs_b.bias': `${BLOCK}.moe_statics.e_score_correction_bias`,
      'blk.*.ffn_gate_shexp': `${BLOCK}.shared_experts.gate_proj`,
      'blk.*.ffn_up_shexp': `${BLOCK}.shared_experts.up_proj`,
      'blk.*.ffn_down_shexp': `${BLOCK}.shared_experts.down_proj`,
    },
    stored: { 'blk.*.exp_probs_b.bias': 'row' },
    rows: () => ({ 'blk.*.exp_probs_b.bias': 1 }),
    saved: (config) => {
      expectForGguf(config, { use_bias: false, moe_layer_interval: 1 });
      const [last, end] = [config.size('num_hidden_layers') - 1, config.number('moe_layer_end_index')];
      if (end !== -1 && end < last)
        throw new ArgumentError(
          `saveGguf: layers after ${end} have no experts, which llama.cpp does not support. Save the model as safetensors`,
        );
      const [size, shared] = [config.size('moe_intermediate_size'), config.number('moe_num_shared_experts')];
      return {
        expert_count: { uint32: config.size('moe_num_experts') },
        expert_used_count: { uint32: config.size('moe_k') },
        expert_feed_forward_length: { uint32: size },
        expert_shared_count: { uint32: shared },
        expert_shared_feed_forward_length: { uint32: shared * size },
        leading_dense_block_count: { uint32: config.number('moe_layer_start_index') },
        interleave_moe_layer_step: { uint32: 1 },
      };
    },
    config: (file) => {
      const size = file.needed('expert_feed_forward_length');
      const sparse = Array.from({ length: file.layers }, (_, i) => i).filter((i) =>
        file.tensors.has(`blk.${i}.ffn_gate_inp.weight`),
      );
      const shared =
        sparse.length === 0 ? 0 : (file.tensors.get(`blk.${sparse[0]}.ffn_up_shexp.weight`)?.shape[0] ?? 0);
      return {
        ...file.decoder(),
        use_bias: file.hasTensor('attn_q.bias'),
        moe_intermediate_size: size,
        moe_k: file.needed('expert_used_count'),
        moe_num_experts: file.needed('expert_count'),
        moe_num_shared_experts: shared / size,
        moe_layer_start_index: sparse[0] ?? file.layers,
        moe_layer_end_index: sparse.at(-1) ?? -1,
        moe_layer_interval: file.number('interleave_moe_layer_step') ?? 1,
      };
    },
  },
};
