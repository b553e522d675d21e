import type { MultiHeadOptions } from '../../nn/attention.js';
import type { Initializer } from '../../nn/init.js';
import { type FeedForwardNetwork, TransformerLayer } from '../../nn/layer.js';
import { RMSNorm } from '../../nn/norm.js';
import type { RotaryEmbedding } from '../../nn/rotary-embedding.js';
import { rotaryOf, windowOf } from '../config-values.js';
import type { Family, GgufSettings } from '../family.js';
import type { Json, ModelConfig } from '../model-config.js';
import { numberIn } from '../model-config.js';
import { decoderDefaults, ggufNames, Llama, llamaAttention, llamaFeedForward, type MakeNorm } from './llama.js';

/**
 * Qwen2 (Yang et al. 2024, arXiv 2407.10671): Llama with biases of queries, keys and values, and windows in some
 * layers.
 */
export class Qwen2 extends Llama {
  protected override layers(init: Initializer, config: ModelConfig, norm: MakeNorm): (i: number) => TransformerLayer {
    const rotary = this.rotary(init, config);
    const attention = this.attention(init, config);
    return (i) =>
      new TransformerLayer({
        selfAttn: () =>
          llamaAttention(init, config, this.randomness, { rotary, window: windowOf(config, i), ...attention }),
        feedForward: () => this.network(init, config, i),
        norm,
        wiring: 'pre',
        randomness: this.randomness,
      });
  }

  /** The rotation of queries and keys. */
  protected rotary(init: Initializer, config: ModelConfig): RotaryEmbedding | null {
    return rotaryOf(init, config);
  }

  /** Returns the feed-forward network of a layer, by its index. */
  protected network(init: Initializer, config: ModelConfig, _layer: number): FeedForwardNetwork {
    return llamaFeedForward(init, config);
  }

  protected attention(_init: Initializer, _config: ModelConfig): Partial<MultiHeadOptions> {
    return { bias: true, outBias: false };
  }
}

/** Qwen3 (Yang et al. 2025, arXiv 2505.09388): queries and keys are normalized per head. */
export class Qwen3 extends Qwen2 {
  protected override attention(init: Initializer, config: ModelConfig): Partial<MultiHeadOptions> {
    const norm = () => new RMSNorm(init, config.size('head_dim'), config.number('rms_norm_eps'));
    return { bias: config.flag('attention_bias'), qNorm: norm, kNorm: norm };
  }
}

/** The config of a GGUF file whose heads have a section for each axis of images. */
export function decoderWithSections(file: GgufSettings): Json {
  const decoder = file.decoder();
  const sections = file.ofLayers('rope.dimension_sections')?.slice(0, 3);
  return { ...decoder, rope_parameters: { ...(decoder.rope_parameters as Json), mrope_section: sections } };
}

export const qwen2: Family = {
  model: Qwen2,
  className: 'Qwen2',
  defaults: {
    ...decoderDefaults,
    intermediate_size: 22016,
    num_key_value_heads: 32,
    max_position_embeddings: 32768,
    use_sliding_window: false,
    sliding_window: 4096,
    max_window_layers: 28,
    bos_token_id: null,
    eos_token_id: null,
  },
  complete: (config) => {
    if (config.use_sliding_window !== true) config.sliding_window = null;
  },
  isSliding: (layer, config) => config.sliding_window != null && layer >= numberIn(config, 'max_window_layers'),
  rope: { theta: 10000 },
  gguf: {
    names: ggufNames,
    config: (file) => ({ ...file.decoder(), attention_bias: false }), // queries, keys and values always have a bias
    saved: () => ({}),
  },
};

export const qwen3: Family = {
  ...qwen2,
  model: Qwen3,
  className: 'Qwen3',
  defaults: { ...qwen2.defaults, head_dim: 128, attention_bias: false },
  gguf: { names: ggufNames, saved: () => ({}) },
};
