import type { Tensor } from '../core/tensor.js';
import type { MultiHeadOptions } from '../nn/attention.js';
import type { Randomness } from '../nn/dropout.js';
import type { Initializer } from '../nn/init.js';
import { TransformerLayer } from '../nn/layer.js';
import { RMSNorm } from '../nn/norm.js';
import type { StateNames } from '../nn/state-names.js';
import { tanh } from '../ops/activation.js';
import { scale } from '../ops/binary.js';
import { activationOf, rotaryOf, windowOf } from './config-values.js';
import { Llama, llamaAttention, llamaFeedForward, type MakeNorm } from './llama.js';
import type { ModelConfig } from './model-config.js';

/** Gemma (2024, arXiv 2403.08295): Llama with GEGLU, scaled embeddings, and norms that multiply by 1 + weight. */
export class Gemma extends Llama {
  protected override norm(init: Initializer, config: ModelConfig): RMSNorm {
    config.expect('use_bidirectional_attention', false);
    return gemmaNorm(init, config, config.size('hidden_size'));
  }

  protected override embedTarget(ids: Tensor): Tensor {
    return this.tokens.forward(ids, { scale: Math.sqrt(this.settings.size('hidden_size')), paddingId: this.paddingId });
  }

  protected override layers(init: Initializer, config: ModelConfig, norm: MakeNorm): (i: number) => TransformerLayer {
    const rotary = rotaryOf(init, config);
    return () =>
      new TransformerLayer({
        selfAttn: () => llamaAttention(init, config, this.randomness, { rotary, bias: config.flag('attention_bias') }),
        feedForward: () => llamaFeedForward(init, config),
        norm,
        wiring: 'pre',
        randomness: this.randomness,
      });
  }
}

/** Gemma 2 (2024, arXiv 2408.00118): norms around each sub-layer, windows in some layers, and caps of scores and logits. */
export class Gemma2 extends Gemma {
  protected override layers(init: Initializer, config: ModelConfig, norm: MakeNorm): (i: number) => TransformerLayer {
    const rotary = rotaryOf(init, config);
    const softcap = config.numberOrNull('attn_logit_softcapping');
    return (i) => sandwich(init, config, norm, this.randomness, { rotary, softcap, window: windowOf(config, i) });
  }

  override logitsOf(features: Tensor): Tensor {
    const logits = super.logitsOf(features);
    const cap = this.settings.numberOrNull('final_logit_softcapping');
    return cap === null || this.headKind !== 'language-model' ? logits : scale(tanh(scale(logits, 1 / cap)), cap);
  }

  protected override get stateNames(): StateNames {
    const layer = 'model.layers.*';
    return {
      'decoder.layers.*.finish.0': `${layer}.post_attention_layernorm`,
      ...super.stateNames,
      'decoder.layers.*.norm2': `${layer}.pre_feedforward_layernorm`,
      'decoder.layers.*.finish.1': `${layer}.post_feedforward_layernorm`,
    };
  }
}

/** Gemma 3 (2025, arXiv 2503.19786), text alone: normalised queries and keys, which turn faster in layers with windows. */
export class Gemma3 extends Gemma2 {
  protected override layers(init: Initializer, config: ModelConfig, norm: MakeNorm): (i: number) => TransformerLayer {
    const [everywhere, nearby] = ['full_attention', 'sliding_attention'].map((kind) =>
      rotaryOf(init, config, { kind }),
    );
    const headNorm = () => gemmaNorm(init, config, config.size('head_dim'));
    return (i) => {
      const window = windowOf(config, i);
      const rotary = window === null ? everywhere : nearby;
      return sandwich(init, config, norm, this.randomness, { rotary, window, qNorm: headNorm, kNorm: headNorm });
    };
  }
}

function gemmaNorm(init: Initializer, config: ModelConfig, features: number): RMSNorm {
  return new RMSNorm(init, features, config.number('rms_norm_eps'), 1);
}

/** A layer whose sub-layers have a norm before and one behind them. */
function sandwich(
  init: Initializer,
  config: ModelConfig,
  norm: MakeNorm,
  randomness: Randomness,
  attention: Partial<MultiHeadOptions>,
): TransformerLayer {
  const activation = activationOf(config.text('hidden_activation'));
  const scale = config.number('query_pre_attn_scalar') ** -0.5;
  const bias = config.flag('attention_bias');
  return new TransformerLayer({
    selfAttn: () => llamaAttention(init, config, randomness, { scale, bias, ...attention }),
    feedForward: () => llamaFeedForward(init, config, { activation }),
    norm,
    finish: norm,
    wiring: 'pre',
    randomness: randomness,
  });
}
