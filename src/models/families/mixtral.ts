import { FormatError } from '../../core/errors.js';
import type { Initializer } from '../../nn/init.js';
import type { FeedForwardNetwork } from '../../nn/layer.js';
import type { StateNames } from '../../nn/state-names.js';
import type { Family } from '../family.js';
import { expectForGguf, ggufExpertCounts } from '../gguf-mixtures.js';
import { mixture, routerLoss } from '../mixtures.js';
import type { ModelConfig } from '../model-config.js';
import { decoderDefaults, ggufNames, llamaNames } from './llama.js';
import { Mistral } from './mistral.js';

/** Mixtral (Jiang et al. 2024, arXiv 2401.04088): Mistral, whose feed-forward networks are mixtures of experts. */
export class Mixtral extends Mistral {
  protected override network(init: Initializer, config: ModelConfig): FeedForwardNetwork {
    const noise = config.number('router_jitter_noise');
    if (noise !== 0)
      throw new FormatError(`config.json: router_jitter_noise is ${noise}, expected 0: noise is not supported`);
    return mixture(init, config, { experts: 'num_local_experts', dFF: 'intermediate_size', normalized: true });
  }

  protected override get furtherLoss() {
    return routerLoss(this, this.settings);
  }

  /** transformers 5 calls the mixture `mlp` in memory. */
  override moduleName(name: string): string {
    return name.replace('.block_sparse_moe.', '.mlp.');
  }

  protected override get stateNames(): StateNames {
    const path = 'decoder.layers.*.feed_forward';
    const ofExperts = (matrix: string) =>
      Array.from({ length: this.settings.size('num_local_experts') }, (_, i) => `${BLOCK}.experts.${i}.${matrix}`);
    return {
      ...super.stateNames,
      ...llamaNames('model'),
      [`${path}.router`]: `${BLOCK}.gate`,
      [`${path}.gates`]: ofExperts('w1'),
      [`${path}.ups`]: ofExperts('w3'),
      [`${path}.downs`]: ofExperts('w2'),
    };
  }
}

const BLOCK = 'model.layers.*.block_sparse_moe';

export const mixtral: Family = {
  model: Mixtral,
  className: 'Mixtral',
  defaults: {
    ...decoderDefaults,
    intermediate_size: 14336,
    num_key_value_heads: 8,
    max_position_embeddings: 131072,
    rms_norm_eps: 1e-5,
    sliding_window: null,
    num_experts_per_tok: 2,
    num_local_experts: 8,
    output_router_logits: false,
    router_aux_loss_coef: 0.001,
    router_jitter_noise: 0,
  },
  complete: (config, fileConfig) => {
    config.num_local_experts = fileConfig.num_local_experts ?? fileConfig.num_experts ?? config.num_local_experts;
  },
  rope: { theta: 1e6 },
  // transformers 5 calls the mixture `mlp` in memory, and may save it so.
  fileName: (name) => name.replace(/\.mlp\.(?=(gate\.weight|experts\.(gate_up|down)_proj)$)/, '.block_sparse_moe.'),
  gguf: {
    names: {
      ...ggufNames,
      'blk.*.ffn_gate_inp': `${BLOCK}.gate`,
      'blk.*.ffn_gate_exps': `${BLOCK}.experts.#.w1`,
      'blk.*.ffn_up_exps': `${BLOCK}.experts.#.w3`,
      'blk.*.ffn_down_exps': `${BLOCK}.experts.#.w2`,
    },
    pairedRows: ['attn_q', 'attn_k'],
    saved: (config) => {
      expectForGguf(config, { hidden_act: 'silu', sliding_window: null });
      return ggufExpertCounts(config, 'num_local_experts');
    },
    config: (file) => ({
      ...file.decoder(),
      num_local_experts: file.needed('expert_count'),
      num_experts_per_tok: file.needed('expert_used_count'),
    }),
  },
};
