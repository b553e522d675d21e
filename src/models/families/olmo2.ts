import type { MultiHeadOptions } from '../../nn/attention.js';
import type { Initializer } from '../../nn/init.js';
import type { LayerParts } from '../../nn/layer.js';
import type { StateNames } from '../../nn/state-names.js';
import type { Family } from '../family.js';
import { expectForGguf } from '../gguf-mixtures.js';
import type { Json, ModelConfig } from '../model-config.js';
import { decoderDefaults, ggufPostNames, RotaryDecoder, rmsNormsAcrossHeads } from './llama.js';

/** OLMo 2 (2025, arXiv 2501.00656): norms after the sub-layers. Queries and keys are normalized across all heads. */
export class Olmo2 extends RotaryDecoder {
  protected override attentionOptions(init: Initializer, config: ModelConfig, _i: number): Partial<MultiHeadOptions> {
    return { bias: config.flag('attention_bias'), ...rmsNormsAcrossHeads(init, config) };
  }

  protected override layerParts(): Partial<LayerParts> {
    return { wiring: 'branch' };
  }

  protected override get stateNames(): StateNames {
    return {
      ...super.stateNames,
      'decoder.layers.*.norm1': 'model.layers.*.post_attention_layernorm',
      'decoder.layers.*.norm2': 'model.layers.*.post_feedforward_layernorm',
    };
  }
}

export const olmo2: Family = {
  model: Olmo2,
  className: 'Olmo2',
  defaults: {
    ...decoderDefaults,
    pad_token_id: 1,
    bos_token_id: null,
    eos_token_id: 50279,
    rms_norm_eps: 1e-5,
    attention_bias: false,
  },
  rope: { theta: 10000 },
  gguf: {
    names: ggufPostNames,
    needsOutput: true,
    saved: (config) => {
      expectForGguf(config, { attention_bias: false });
      return {};
    },
    config: (file) => {
      const decoder = file.decoder();
      if (file.number('attention.sliding_window') === undefined) return decoder;
      const rope = decoder.rope_parameters as Json;
      return {
        ...decoder,
        model_type: 'olmo3',
        architectures: ['Olmo3ForCausalLM'],
        sliding_window: file.needed('attention.sliding_window'),
        layer_types: file.layerTypes(4),
        rope_parameters: {
          full_attention: rope,
          sliding_attention: { rope_type: 'default', rope_theta: rope.rope_theta },
        },
      };
    },
  },
};
