import type { Initializer } from '../nn/init.js';
import { TransformerLayer } from '../nn/layer.js';
import { rotaryOf, windowOf } from './config-values.js';
import { Llama, llamaAttention, llamaFeedForward, type MakeNorm } from './llama.js';
import type { ModelConfig } from './model-config.js';

/** SmolLM3 (2025): Llama of which some layers know no positions (Yang et al. 2025, arXiv 2501.18795). */
export class SmolLM3 extends Llama {
  protected override layers(init: Initializer, config: ModelConfig, norm: MakeNorm): (i: number) => TransformerLayer {
    const rotary = rotaryOf(init, config);
    const turns = config.list('no_rope_layers'); // against its name, 1 where a layer has them
    const [bias, networkBias] = [config.flag('attention_bias'), config.flag('mlp_bias')];
    return (i) =>
      new TransformerLayer({
        selfAttn: () =>
          llamaAttention(init, config, this.randomness, {
            rotary: turns[i] ? rotary : null,
            window: windowOf(config, i),
            bias,
          }),
        feedForward: () => llamaFeedForward(init, config, { bias: networkBias }),
        norm,
        wiring: 'pre',
        randomness: this.randomness,
      });
  }
}
