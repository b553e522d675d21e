import type { Tensor } from '../../core/tensor.js';
import type { MultiHeadOptions } from '../../nn/attention.js';
import type { Initializer } from '../../nn/init.js';
import type { FeedForwardNetwork, LayerParts } from '../../nn/layer.js';
import { ConstantScale } from '../../nn/layer-scale.js';
import type { Family, GgufNumber, GgufSettings } from '../family.js';
import { type Json, type ModelConfig, numberIn } from '../model-config.js';
import { decoderDefaults, ggufNames, llamaFeedForward, RotaryDecoder } from './llama.js';

/** Granite 3 (IBM 2024): Llama with constant multipliers of embeddings, scores, sub-layers and logits. */
export class Granite extends RotaryDecoder {
  protected override embedTarget(ids: Tensor): Tensor {
    return this.tokens.forward(ids, {
      scale: this.settings.number('embedding_multiplier'),
      paddingId: this.paddingId,
    });
  }

  protected override attentionOptions(_init: Initializer, config: ModelConfig): Partial<MultiHeadOptions> {
    return { bias: config.flag('attention_bias'), scale: config.number('attention_multiplier') };
  }

  protected override network(init: Initializer, config: ModelConfig): FeedForwardNetwork {
    return llamaFeedForward(init, config, { bias: config.flag('mlp_bias') });
  }

  protected override layerParts(_init: Initializer, config: ModelConfig): Partial<LayerParts> {
    return { postNorm: () => new ConstantScale(config.number('residual_multiplier')) };
  }

  protected override get logitScale(): number {
    return 1 / this.settings.number('logits_scaling');
  }
}

/** The multipliers in a GGUF file. */
export function graniteSettings(file: GgufSettings): Json {
  const decoder = file.decoder();
  return {
    ...decoder,
    embedding_multiplier: file.number('embedding_scale') ?? 1,
    residual_multiplier: file.number('residual_scale') ?? 1,
    logits_scaling: file.number('logit_scale') ?? 1,
    attention_multiplier: file.number('attention.scale') ?? numberIn(decoder, 'head_dim') ** -0.5,
  };
}

/** The multipliers that `saveGguf` writes. */
export function graniteSaved(config: ModelConfig): Record<string, GgufNumber> {
  return {
    embedding_scale: { float32: config.number('embedding_multiplier') },
    residual_scale: { float32: config.number('residual_multiplier') },
    'attention.scale': { float32: config.number('attention_multiplier') },
    logit_scale: { float32: config.number('logits_scaling') },
  };
}

export const granite: Family = {
  model: Granite,
  className: 'Granite',
  defaults: {
    ...decoderDefaults,
    attention_bias: false,
    mlp_bias: false,
    embedding_multiplier: 1,
    logits_scaling: 1,
    residual_multiplier: 1,
    attention_multiplier: 1,
  },
  rope: { theta: 10000 },
  gguf: {
    names: ggufNames,
    pairedRows: ['attn_q', 'attn_k'],
    config: graniteSettings,
    saved: graniteSaved,
  },
};
