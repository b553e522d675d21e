import type { MultiHeadOptions } from '../../nn/attention.js';
import { Dropout } from '../../nn/dropout.js';
import type { Initializer } from '../../nn/init.js';
import type { FeedForwardNetwork, LayerParts } from '../../nn/layer.js';
import type { RotaryEmbedding } from '../../nn/rotary-embedding.js';
import type { StateNames } from '../../nn/state-names.js';
import { rotaryOf } from '../config-values.js';
import type { Family } from '../family.js';
import { ggufContextInWindow } from '../gguf-mixtures.js';
import type { Json, ModelConfig } from '../model-config.js';
import { decoderDefaults, ggufNames, llamaFeedForward, RotaryDecoder } from './llama.js';

/** Phi-3 (Abdin et al. 2024, arXiv 2404.14219): Llama whose projections of one input are one matrix. */
export class Phi3 extends RotaryDecoder {
  protected override rotary(init: Initializer, config: ModelConfig): RotaryEmbedding | null {
    return rotaryOf(init, config, { rereads: true });
  }

  protected override attentionOptions(_init: Initializer, config: ModelConfig): Partial<MultiHeadOptions> {
    return { window: config.sizeOrNull('sliding_window') };
  }

  protected override network(init: Initializer, config: ModelConfig): FeedForwardNetwork {
    return llamaFeedForward(init, config, { fused: true });
  }

  protected override layerParts(_init: Initializer, config: ModelConfig): Partial<LayerParts> {
    return { dropout: () => new Dropout(config.number('resid_pdrop'), this.randomness) };
  }

  /** With longrope, the length beyond which other frequencies apply, to all tokens. */
  get rereadLength(): number | null {
    const { rope_type: type, original_max_position_embeddings: length } = (this.config.rope_parameters ?? {}) as Json;
    return type === 'longrope' && typeof length === 'number' && length < this.maxLength ? length : null;
  }

  protected override get stateNames(): StateNames {
    const layer = 'model.layers.*';
    return {
      ...super.stateNames,
      'decoder.layers.*.self_attn.qkv': `${layer}.self_attn.qkv_proj`,
      'decoder.layers.*.feed_forward.linear1': `${layer}.mlp.gate_up_proj`,
    };
  }
}

export const phi3: Family = {
  model: Phi3,
  className: 'Phi3',
  defaults: {
    ...decoderDefaults,
    hidden_size: 3072,
    intermediate_size: 8192,
    resid_pdrop: 0,
    embd_pdrop: 0,
    max_position_embeddings: 4096,
    original_max_position_embeddings: 4096,
    rms_norm_eps: 1e-5,
    eos_token_id: 32000,
    pad_token_id: 32000,
    sliding_window: null,
  },
  rope: { theta: 10000, partial: 1, typeNames: { yarn: 'longrope' } }, // the name in the first files
  gguf: {
    names: {
      ...ggufNames,
      'blk.*.attn_qkv': 'model.layers.*.self_attn.qkv_proj',
      'blk.*.ffn_up': 'model.layers.*.mlp.gate_up_proj',
    },
    hasBothDivisors: true,
    saved: (config) => ({
      ...ggufContextInWindow(config),
      'rope.scaling.original_context_length': { uint32: config.size('original_max_position_embeddings') },
    }),
    config: (file) => ({
      ...file.decoder(),
      original_max_position_embeddings:
        file.number('rope.scaling.original_context_length') ?? file.needed('context_length'),
      sliding_window: file.number('attention.sliding_window') || null, // 0 in Phi-4
    }),
  },
};
