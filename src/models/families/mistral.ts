import type { Initializer } from '../../nn/init.js';
import { TransformerLayer } from '../../nn/layer.js';
import { rotaryOf } from '../config-values.js';
import type { Family } from '../family.js';
import type { ModelConfig } from '../model-config.js';
import { decoderDefaults, Llama, llamaAttention, llamaFeedForward, type MakeNorm } from './llama.js';

/** Mistral 7B (Jiang et al. 2023, arXiv 2310.06825): Llama with windowed attention. */
export class Mistral extends Llama {
  protected override layers(init: Initializer, config: ModelConfig, norm: MakeNorm): () => TransformerLayer {
    const rotary = rotaryOf(init, config);
    const window = config.sizeOrNull('sliding_window');
    return () =>
      new TransformerLayer({
        selfAttn: () => llamaAttention(init, config, this.randomness, { rotary, window }),
        feedForward: () => llamaFeedForward(init, config),
        norm,
        wiring: 'pre',
        randomness: this.randomness,
      });
  }
}

export const mistral: Family = {
  model: Mistral,
  className: 'Mistral',
  defaults: {
    ...decoderDefaults,
    intermediate_size: 14336,
    num_key_value_heads: 8,
    max_position_embeddings: 131072,
    sliding_window: 4096,
  },
  rope: { theta: 10000 },
};
