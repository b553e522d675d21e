import type { MultiHeadOptions } from '../../nn/attention.js';
import type { Initializer } from '../../nn/init.js';
import { windowOf } from '../config-values.js';
import type { Family, GgufSettings } from '../family.js';
import { expectForGguf, ggufContextInWindow } from '../gguf-mixtures.js';
import { type Json, type ModelConfig, numberIn } from '../model-config.js';
import { decoderDefaults, ggufNames, RotaryDecoder, rmsHeadNorms } from './llama.js';

/**
 * Qwen2 (Yang et al. 2024, arXiv 2407.10671): Llama with biases of queries, keys and values, and windows in some
 * layers.
 */
export class Qwen2 extends RotaryDecoder {
  protected override get answersQuestions(): boolean {
    return true;
  }

  protected override attentionOptions(_init: Initializer, config: ModelConfig, i: number): Partial<MultiHeadOptions> {
    return { bias: true, outBias: false, window: windowOf(config, i) };
  }
}

/** Qwen3 (Yang et al. 2025, arXiv 2505.09388): queries and keys are normalized per head. */
export class Qwen3 extends Qwen2 {
  protected override attentionOptions(init: Initializer, config: ModelConfig, i: number): Partial<MultiHeadOptions> {
    return { bias: config.flag('attention_bias'), window: windowOf(config, i), ...rmsHeadNorms(init, config) };
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
    saved: ggufContextInWindow,
  },
};

export const qwen3: Family = {
  ...qwen2,
  model: Qwen3,
  className: 'Qwen3',
  defaults: { ...qwen2.defaults, head_dim: 128, attention_bias: false },
  gguf: {
    names: ggufNames,
    saved: (config) => {
      expectForGguf(config, { attention_bias: false });
      return ggufContextInWindow(config);
    },
  },
};
