import { ArgumentError } from '../../core/errors.js';
import type { MultiHeadOptions } from '../../nn/attention.js';
import type { Initializer } from '../../nn/init.js';
import type { LayerParts } from '../../nn/layer.js';
import type { StateNames } from '../../nn/state-names.js';
import { windowOf } from '../config-values.js';
import type { Family } from '../family.js';
import type { ModelConfig } from '../model-config.js';
import { decoderDefaults, ggufPostNames, ggufWindows, RotaryDecoder, rmsHeadNorms } from './llama.js';

/**
 * EXAONE 4 (2025, arXiv 2507.11407): norms follow the sub-layers, before the residual sum. If some layers have windows,
 * the others see all keys and do not rotate.
 */
export class Exaone4 extends RotaryDecoder {
  protected override get answersQuestions(): boolean {
    return true;
  }

  protected override attentionOptions(init: Initializer, config: ModelConfig, i: number): Partial<MultiHeadOptions> {
    const window = windowOf(config, i);
    const isFlat = window === null && config.sizeOrNull('sliding_window') !== null;
    return { window, ...(isFlat && { rotary: null }), ...rmsHeadNorms(init, config) };
  }

  protected override layerParts(): Partial<LayerParts> {
    return { wiring: 'branch' };
  }

  protected override get stateNames(): StateNames {
    const layer = `${this.bodyName}.layers.*`;
    return {
      ...super.stateNames,
      'decoder.layers.*.norm1': `${layer}.post_attention_layernorm`,
      'decoder.layers.*.norm2': `${layer}.post_feedforward_layernorm`,
    };
  }
}

/**
 * Returns n if every n-th layer has no window, and 0 if no layer has one. `pattern` is the number or letters such as
 * `LLLG` (local, global).
 */
function interval(pattern: unknown): number {
  if (typeof pattern === 'string') return pattern.length;
  return typeof pattern === 'number' ? pattern : 0;
}

export const exaone4: Family = {
  model: Exaone4,
  className: 'Exaone4',
  defaults: {
    ...decoderDefaults,
    intermediate_size: 16384,
    num_key_value_heads: 32,
    rms_norm_eps: 1e-5,
    bos_token_id: 0,
    eos_token_id: 2,
    sliding_window: 4096,
    sliding_window_pattern: 4,
  },
  complete: (config) => {
    if (config.sliding_window == null) config.sliding_window_pattern = 0;
  },
  isSliding: (layer, config) => {
    const every = interval(config.sliding_window_pattern);
    return every > 0 && (layer + 1) % every !== 0;
  },
  rope: { theta: 10000 },
  gguf: {
    names: ggufPostNames,
    saved: (config) => {
      const hasWindows = config.sizeOrNull('sliding_window') !== null;
      if (hasWindows !== (config.size('num_hidden_layers') === 64))
        throw new ArgumentError(
          `saveGguf: llama.cpp gives windows to EXAONE 4 with 64 layers, and to no other. This model has ${config.size('num_hidden_layers')} layers${hasWindows ? ' with' : ', without'} windows. Save it as safetensors`,
        );
      return ggufWindows(config);
    },
    config: (file) => ({
      ...file.decoder(),
      sliding_window: file.number('attention.sliding_window') || null,
      layer_types: file.layerTypes(4),
    }),
  },
};
