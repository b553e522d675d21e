import type { Tensor } from '../../core/tensor.js';
import {
  MultiHeadAttention,
  type MultiHeadOptions,
  type ProjectedAttention,
  type RotaryContext,
} from '../../nn/attention.js';
import type { Initializer } from '../../nn/init.js';
import { QueryScale } from '../../nn/query-scale.js';
import type { Sequences } from '../../nn/sequences.js';
import type { Family } from '../family.js';
import type { PaddedBatch } from '../inputs.js';
import { type Json, ModelConfig } from '../model-config.js';
import { decoderDefaults, ggufNames, type MakeAttention } from './llama.js';
import { Mistral } from './mistral.js';

/** Ministral 3 (2025): Mistral that scales late queries, as Llama 4 does, so that attention stays sharp in long texts. */
export class Ministral3 extends Mistral {
  protected override attention(init: Initializer, config: ModelConfig): MakeAttention {
    const rope = new ModelConfig(config.object('rope_parameters'));
    const beta = rope.numberOrNull('llama_4_scaling_beta');
    const interval = () => rope.size('original_max_position_embeddings');
    const { maxLength } = this;
    const queryScale = beta === null ? null : new QueryScale(init, { beta, interval: interval(), maxLength });
    return (options) => new ScaledQueryAttention(init, options, queryScale);
  }

  /** Padding before tokens counts, as in transformers. The scale of a query depends on its position. */
  protected override sequencesOf(padded: PaddedBatch): Sequences {
    return padded.sequencesInColumns;
  }
}

/** Attention that multiplies rotated queries by a factor that depends on their position. */
class ScaledQueryAttention extends MultiHeadAttention {
  readonly queryScale: QueryScale | null;

  constructor(init: Initializer, options: MultiHeadOptions, queryScale: QueryScale | null) {
    super(init, options);
    this.queryScale = queryScale;
  }

  protected override splitProjections(all: Tensor, context: RotaryContext): ProjectedAttention {
    const { q, kv } = super.splitProjections(all, context);
    return { q: this.queryScale?.forward(q, context.positions) ?? q, kv };
  }
}

const rope = {
  rope_type: 'yarn',
  rope_theta: 1000000,
  factor: 16,
  original_max_position_embeddings: 16384,
  beta_fast: 32,
  beta_slow: 1,
  mscale_all_dim: 1,
  mscale: 1,
  llama_4_scaling_beta: 0.1,
};

export const ministral3: Family = {
  model: Ministral3,
  className: 'Ministral3',
  defaults: {
    ...decoderDefaults,
    intermediate_size: 14336,
    num_hidden_layers: 34,
    num_key_value_heads: 8,
    head_dim: 128,
    max_position_embeddings: 262144,
    rms_norm_eps: 1e-5,
    pad_token_id: 11,
    sliding_window: null,
  },
  complete: (config) => {
    config.rope_parameters ??= rope;
  },
  rope: { theta: 1000000 },
  gguf: {
    names: ggufNames,
    pairedRows: ['attn_q', 'attn_k'],
    config: (file) => {
      const decoder = file.decoder();
      const length = file.number('rope.scaling.original_context_length') ?? file.needed('context_length');
      const mscale = file.number('rope.scaling.yarn_log_multiplier');
      const scaled = decoder.rope_parameters as Json;
      return {
        ...decoder,
        rope_parameters: {
          ...scaled,
          ...(mscale !== undefined && { mscale, mscale_all_dim: mscale }),
          original_max_position_embeddings: length,
          llama_4_scaling_beta: file.number('attention.temperature_scale') ?? null,
        },
      };
    },
  },
};
