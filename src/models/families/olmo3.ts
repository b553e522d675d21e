import type { MultiHeadOptions } from '../../nn/attention.js';
import type { Initializer } from '../../nn/init.js';
import type { RotaryEmbedding } from '../../nn/rotary-embedding.js';
import { rotariesOf, windowOf } from '../config-values.js';
import type { Family } from '../family.js';
import type { ModelConfig } from '../model-config.js';
import { ggufPostNames, ggufWindows } from './llama.js';
import { Olmo2, olmo2 } from './olmo2.js';

/** OLMo 3 (2025): OLMo 2 with windows in three of four layers. Only layers without a window scale their rotation. */
export class Olmo3 extends Olmo2 {
  protected override rotaries(init: Initializer, config: ModelConfig): (i: number) => RotaryEmbedding | null {
    return rotariesOf(init, config);
  }

  protected override attentionOptions(init: Initializer, config: ModelConfig, i: number): Partial<MultiHeadOptions> {
    return { ...super.attentionOptions(init, config, i), window: windowOf(config, i) };
  }
}

export const olmo3: Family = {
  ...olmo2,
  model: Olmo3,
  className: 'Olmo3',
  defaults: { ...olmo2.defaults, sliding_window: 4096 },
  isSliding: (layer) => (layer + 1) % 4 !== 0,
  rope: { theta: 500000, sliding: { theta: 500000, thetaName: 'rope_theta', isScaled: false } },
  gguf: { names: ggufPostNames, needsOutput: true, saved: ggufWindows },
};
