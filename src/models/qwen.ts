import type { MultiHeadOptions } from '../nn/attention.js';
import type { Initializer } from '../nn/init.js';
import { TransformerLayer } from '../nn/layer.js';
import { RMSNorm } from '../nn/norm.js';
import { rotaryOf, windowOf } from './config-values.js';
import { Llama, llamaAttention, llamaFeedForward, type MakeNorm } from './llama.js';
import type { ModelConfig } from './model-config.js';

/** Qwen2 (Yang et al. 2024, arXiv 2407.10671): Llama with biases of queries, keys and values, and windows in some layers. */
export class Qwen2 extends Llama {
  protected override layers(init: Initializer, config: ModelConfig, norm: MakeNorm): (i: number) => TransformerLayer {
    const rotary = rotaryOf(init, config);
    const attention = this.attention(init, config);
    return (i) =>
      new TransformerLayer({
        selfAttn: () =>
          llamaAttention(init, config, this.randomness, { rotary, window: windowOf(config, i), ...attention }),
        feedForward: () => llamaFeedForward(init, config),
        norm,
        wiring: 'pre',
        randomness: this.randomness,
      });
  }

  protected attention(_init: Initializer, _config: ModelConfig): Partial<MultiHeadOptions> {
    return { bias: true, outBias: false };
  }
}

/** Qwen3 (Yang et al. 2025, arXiv 2505.09388): queries and keys are normalised, head by head. */
export class Qwen3 extends Qwen2 {
  protected override attention(init: Initializer, config: ModelConfig): Partial<MultiHeadOptions> {
    const norm = () => new RMSNorm(init, config.size('head_dim'), config.number('rms_norm_eps'));
    return { bias: config.flag('attention_bias'), qNorm: norm, kNorm: norm };
  }
}
