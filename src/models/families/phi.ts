import type { Tensor } from '../../core/tensor.js';
import type { MultiHeadOptions } from '../../nn/attention.js';
import { Dropout } from '../../nn/dropout.js';
import type { Initializer } from '../../nn/init.js';
import type { FeedForwardNetwork, LayerParts } from '../../nn/layer.js';
import { LayerNorm, type Norm } from '../../nn/norm.js';
import type { RotaryEmbedding } from '../../nn/rotary-embedding.js';
import type { StateNames } from '../../nn/state-names.js';
import { dropoutOf, rotaryOf } from '../config-values.js';
import type { Family } from '../family.js';
import { expectForGguf } from '../gguf-mixtures.js';
import type { ModelConfig } from '../model-config.js';
import { decoderDefaults, ggufNames, llamaFeedForward, RotaryDecoder } from './llama.js';

/** Phi 1 to 2 (Li et al. 2023, arXiv 2309.05463): both sub-layers read one norm, and half of each head rotates. */
export class Phi extends RotaryDecoder {
  protected override get outputBias(): boolean {
    return true;
  }

  protected override norm(init: Initializer, config: ModelConfig): Norm {
    return new LayerNorm(init, config.size('hidden_size'), config.number('layer_norm_eps'));
  }

  protected override embedTarget(ids: Tensor): Tensor {
    return dropoutOf(this.settings, 'embd_pdrop', this.randomness).forward(super.embedTarget(ids));
  }

  protected override rotary(init: Initializer, config: ModelConfig): RotaryEmbedding | null {
    return rotaryOf(init, config, { even: true });
  }

  protected override attentionOptions(init: Initializer, config: ModelConfig): Partial<MultiHeadOptions> {
    const norm = () => new LayerNorm(init, config.size('head_dim'), config.number('layer_norm_eps'));
    return { bias: true, ...(config.flag('qk_layernorm') && { qNorm: norm, kNorm: norm }) };
  }

  protected override network(init: Initializer, config: ModelConfig): FeedForwardNetwork {
    return llamaFeedForward(init, config, { gated: false, bias: true });
  }

  protected override layerParts(init: Initializer, config: ModelConfig): Partial<LayerParts> {
    const norm = this.norm(init, config);
    const dropout = () => new Dropout(config.number('resid_pdrop'), this.randomness);
    return { norm: () => norm, dropout, wiring: 'parallel' };
  }

  protected override get stateNames(): StateNames {
    const layer = 'model.layers.*';
    return {
      ...super.stateNames,
      'decoder.layers.*.self_attn.out_proj': `${layer}.self_attn.dense`,
      'decoder.layers.*.self_attn.q_norm': `${layer}.self_attn.q_layernorm`,
      'decoder.layers.*.self_attn.k_norm': `${layer}.self_attn.k_layernorm`,
      'decoder.layers.*.feed_forward.linear1': `${layer}.mlp.fc1`,
      'decoder.layers.*.feed_forward.linear2': `${layer}.mlp.fc2`,
      'decoder.norm': 'model.final_layernorm',
    };
  }
}

export const phi: Family = {
  model: Phi,
  className: 'Phi',
  defaults: {
    ...decoderDefaults,
    hidden_size: 2048,
    intermediate_size: 8192,
    num_hidden_layers: 24,
    hidden_act: 'gelu_new',
    layer_norm_eps: 1e-5,
    resid_pdrop: 0,
    embd_pdrop: 0,
    qk_layernorm: false,
  },
  rope: { theta: 10000, partial: 0.5 },
  gguf: {
    names: {
      ...ggufNames,
      output_norm: 'model.final_layernorm',
      'blk.*.attn_output': 'model.layers.*.self_attn.dense',
      'blk.*.ffn_up': 'model.layers.*.mlp.fc1',
      'blk.*.ffn_down': 'model.layers.*.mlp.fc2',
    },
    needsOutput: true,
    saved: (config) => {
      expectForGguf(config, { qk_layernorm: false });
      return {};
    },
    config: (file) => ({ ...file.decoder(), layer_norm_eps: file.needed('attention.layer_norm_epsilon') }),
  },
};
