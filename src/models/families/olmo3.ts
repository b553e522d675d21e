import type { Initializer } from '../../nn/init.js';
import type { TransformerLayer } from '../../nn/layer.js';
import { rotaryOf, windowOf } from '../config-values.js';
import type { Family } from '../family.js';
import type { ModelConfig } from '../model-config.js';
import type { MakeNorm } from './llama.js';
import { Olmo2, olmo2 } from './olmo2.js';

/** OLMo 3 (2025): OLMo 2 with windows in three of four layers. Only layers without a window scale their rotation. */
export class Olmo3 extends Olmo2 {
  protected override layers(init: Initializer, config: ModelConfig, norm: MakeNorm): (i: number) => TransformerLayer {
    const [everywhere, nearby] = ['full_attention', 'sliding_attention'].map((kind) =>
      rotaryOf(init, config, { kind }),
    );
    return (i) => {
      const window = windowOf(config, i);
      return this.layer(init, config, norm, { rotary: window === null ? everywhere : nearby, window });
    };
  }
}

export const olmo3: Family = {
  ...olmo2,
  model: Olmo3,
  className: 'Olmo3',
  defaults: { ...olmo2.defaults, sliding_window: 4096 },
  isSliding: (layer) => (layer + 1) % 4 !== 0,
  rope: { theta: 500000, sliding: { theta: 500000, thetaName: 'rope_theta', isScaled: false } },
};
