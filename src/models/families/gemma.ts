import { ArgumentError, FormatError } from '../../core/errors.js';
import type { Tensor } from '../../core/tensor.js';
import type { MultiHeadOptions } from '../../nn/attention.js';
import type { Initializer } from '../../nn/init.js';
import type { FeedForwardNetwork, LayerParts } from '../../nn/layer.js';
import { RMSNorm } from '../../nn/norm.js';
import type { RotaryEmbedding } from '../../nn/rotary-embedding.js';
import type { StateNames } from '../../nn/state-names.js';
import { tanh } from '../../ops/activation.js';
import { scale } from '../../ops/binary.js';
import { activationOf, rotariesOf, windowOf } from '../config-values.js';
import type { Family, GgufNumber, GgufSettings } from '../family.js';
import { expectForGguf } from '../gguf-mixtures.js';
import { type Json, type ModelConfig, numberIn } from '../model-config.js';
import { decoderDefaults, ggufNames, ggufWindows, llamaFeedForward, RotaryDecoder } from './llama.js';

/** Gemma (2024, arXiv 2403.08295): Llama with GEGLU, scaled embeddings, and norms that multiply by 1 + weight. */
export class Gemma extends RotaryDecoder {
  protected override norm(init: Initializer, config: ModelConfig): RMSNorm {
    return gemmaNorm(init, config, config.size('hidden_size'));
  }

  protected override embedTarget(ids: Tensor): Tensor {
    return this.tokens.forward(ids, { scale: Math.sqrt(this.settings.size('hidden_size')), paddingId: this.paddingId });
  }

  protected override attentionOptions(_init: Initializer, config: ModelConfig, _i: number): Partial<MultiHeadOptions> {
    config.expect('use_bidirectional_attention', false);
    return { bias: config.flag('attention_bias') };
  }
}

/**
 * Gemma 2 (2024, arXiv 2408.00118): norms before and after each sub-layer, windows in some layers, soft caps of scores
 * and logits.
 */
export class Gemma2 extends Gemma {
  protected override attentionOptions(init: Initializer, config: ModelConfig, i: number): Partial<MultiHeadOptions> {
    const softcap = config.numberOrNull('attn_logit_softcapping');
    const scale = config.number('query_pre_attn_scalar') ** -0.5;
    return { ...super.attentionOptions(init, config, i), softcap, scale, window: windowOf(config, i) };
  }

  protected override network(init: Initializer, config: ModelConfig, _i: number): FeedForwardNetwork {
    return llamaFeedForward(init, config, { activation: activationOf(config.text('hidden_activation')) });
  }

  protected override layerParts(init: Initializer, config: ModelConfig): Partial<LayerParts> {
    return { postNorm: () => this.norm(init, config) };
  }

  override logitsOf(features: Tensor): Tensor {
    const cap = this.settings.numberOrNull('final_logit_softcapping');
    return capped(super.logitsOf(features), this.headKind === 'language-model' ? cap : null);
  }

  protected override get stateNames(): StateNames {
    return { ...super.stateNames, ...sandwichNames('decoder') };
  }
}

/**
 * Gemma 3 (2025, arXiv 2503.19786), text only. Queries and keys are normalized, and rotate faster in layers with
 * windows. EmbeddingGemma (2025, arXiv 2509.20354) also attends to later tokens: half of a window on each side.
 */
export class Gemma3 extends Gemma2 {
  protected override rotaries(init: Initializer, config: ModelConfig): (i: number) => RotaryEmbedding | null {
    return rotariesOf(init, config);
  }

  protected override attentionOptions(init: Initializer, config: ModelConfig, i: number): Partial<MultiHeadOptions> {
    const causal = !config.flag('use_bidirectional_attention');
    if (!causal && this.headKind === 'language-model')
      throw new FormatError(
        "config.json: use_bidirectional_attention is true: such a model cannot generate; pass head: 'none'",
      );
    const size = windowOf(config, i);
    const window = causal || size === null ? size : Math.floor(size / 2) + 1;
    const norm = () => gemmaNorm(init, config, config.size('head_dim'));
    const scale = config.number('query_pre_attn_scalar') ** -0.5;
    return { bias: config.flag('attention_bias'), causal, scale, window, qNorm: norm, kNorm: norm };
  }
}

/** Limits logits to ±cap, by cap · tanh(logits / cap); null for no limit. */
export function capped(logits: Tensor, cap: number | null): Tensor {
  return cap === null ? logits : scale(tanh(scale(logits, 1 / cap)), cap);
}

export function gemmaNorm(init: Initializer, config: ModelConfig, features: number): RMSNorm {
  return new RMSNorm(init, features, config.number('rms_norm_eps'), 1);
}

/** Names of the norms of a stack whose sub-layers have one before and one after. */
export function sandwichNames(stack: 'encoder' | 'decoder'): StateNames {
  const [path, layer] = [`${stack}.layers.*`, 'model.layers.*'];
  return {
    [`${path}.post_norms.0`]: `${layer}.post_attention_layernorm`,
    [`${path}.norm2`]: `${layer}.pre_feedforward_layernorm`,
    [`${path}.post_norms.1`]: `${layer}.post_feedforward_layernorm`,
  };
}

const ACTIVATION = 'gelu_pytorch_tanh';

export const gemma: Family = {
  model: Gemma,
  className: 'Gemma',
  defaults: {
    ...decoderDefaults,
    hidden_size: 3072,
    intermediate_size: 24576,
    num_hidden_layers: 28,
    num_attention_heads: 16,
    num_key_value_heads: 16,
    head_dim: 256,
    max_position_embeddings: 8192,
    pad_token_id: 0,
    eos_token_id: 1,
    bos_token_id: 2,
    tie_word_embeddings: true,
    attention_bias: false,
    hidden_act: ACTIVATION,
  },
  complete: (config) => {
    if (config.hidden_act === 'gelu') config.hidden_act = ACTIVATION; // the first checkpoints have the wrong name
  },
  rope: { theta: 10000 },
  gguf: {
    names: ggufNames,
    plusOne: true,
    config: (file) => ({ ...file.decoder(), hidden_act: ACTIVATION, hidden_activation: ACTIVATION }),
    saved: (config) => {
      expectForGguf(config, { attention_bias: false });
      return {};
    },
  },
};

/** Names in GGUF files with norms after the sub-layers. */
const ggufSandwichNames = {
  ...ggufNames,
  'blk.*.post_attention_norm': 'model.layers.*.post_attention_layernorm',
  'blk.*.ffn_norm': 'model.layers.*.pre_feedforward_layernorm',
  'blk.*.post_ffw_norm': 'model.layers.*.post_feedforward_layernorm',
};

export const gemma2: Family = {
  model: Gemma2,
  className: 'Gemma2',
  defaults: {
    ...gemma.defaults,
    hidden_size: 2304,
    intermediate_size: 9216,
    num_hidden_layers: 26,
    num_attention_heads: 8,
    num_key_value_heads: 4,
    hidden_activation: ACTIVATION,
    query_pre_attn_scalar: 256,
    sliding_window: 4096,
    final_logit_softcapping: 30,
    attn_logit_softcapping: 50,
  },
  isSliding: (layer) => layer % 2 === 0,
  rope: { theta: 10000 },
  gguf: {
    names: ggufSandwichNames,
    plusOne: true,
    saved: (config) => gemmaSaved(config, 46),
    config: (file) => ({
      ...windowed(file, { window: 4096, pattern: 2, largest: 46 }),
      attn_logit_softcapping: cap(file, 'attn_logit_softcapping', 50),
      final_logit_softcapping: cap(file, 'final_logit_softcapping', 30),
    }),
  },
};

export const gemma3: Family = {
  model: Gemma3,
  className: 'Gemma3Text',
  generationClass: 'Gemma3ForCausalLM',
  defaults: {
    ...gemma2.defaults,
    vocab_size: 262208,
    max_position_embeddings: 131072,
    final_logit_softcapping: null,
    attn_logit_softcapping: null,
    sliding_window_pattern: 6,
    use_bidirectional_attention: false,
  },
  isSliding: (layer, config) => (layer + 1) % numberIn(config, 'sliding_window_pattern') !== 0,
  rope: { theta: 1000000, sliding: { theta: 10000, thetaName: 'rope_local_base_freq', isScaled: false } },
  gguf: {
    names: ggufSandwichNames,
    plusOne: true,
    saved: (config) => gemmaSaved(config, 62),
    config: (file) => ({
      ...windowed(file, { window: 0, pattern: 6, largest: 62 }),
      ...(file.architecture === 'gemma-embedding' && {
        architectures: ['Gemma3TextModel'],
        use_bidirectional_attention: true,
      }),
      attn_logit_softcapping: null,
      final_logit_softcapping: cap(file, 'final_logit_softcapping', null),
    }),
  },
};

/**
 * The settings that `saveGguf` writes beside those of decoders. `largest`: layers of the model with another scale of
 * scores.
 */
function gemmaSaved(config: ModelConfig, largest: number): Record<string, GgufNumber> {
  expectForGguf(config, { attention_bias: false });
  const isLargest = config.size('num_hidden_layers') === largest;
  const scale = isLargest ? config.size('hidden_size') / config.size('num_attention_heads') : config.size('head_dim');
  if (config.number('query_pre_attn_scalar') !== scale)
    throw new ArgumentError(
      `saveGguf: query_pre_attn_scalar is ${config.number('query_pre_attn_scalar')}, expected ${scale}: files do not hold it`,
    );
  const cap = (name: string) => ({ [name]: { float32: config.numberOrNull(name) ?? 0 } });
  return {
    ...ggufWindows(config),
    ...cap('final_logit_softcapping'),
    ...(config.values.attn_logit_softcapping != null && cap('attn_logit_softcapping')),
  };
}

/** Windows and the scale of scores in a GGUF file. `usual` are their defaults. */
function windowed(file: GgufSettings, usual: { window: number; pattern: number; largest: number }): Json {
  const decoder = file.decoder();
  const layers = numberIn(decoder, 'num_hidden_layers');
  const window = file.number('attention.sliding_window') ?? usual.window;
  const pattern = file.pattern('attention.sliding_window_pattern') ?? usual.pattern;
  const isNear = (layer: number) =>
    window > 0 &&
    (typeof pattern === 'number' ? pattern === 0 || (layer + 1) % pattern !== 0 : pattern[layer] === true);
  // The largest models divide by the root of dModel / heads, all others by the root of the head's size.
  const share = numberIn(decoder, 'hidden_size') / numberIn(decoder, 'num_attention_heads');
  return {
    ...decoder,
    hidden_act: ACTIVATION,
    hidden_activation: ACTIVATION,
    sliding_window: window > 0 ? window : null,
    layer_types: Array.from({ length: layers }, (_, i) => (isNear(i) ? 'sliding_attention' : 'full_attention')),
    query_pre_attn_scalar: layers === usual.largest ? share : decoder.head_dim,
  };
}

/** A cap in a GGUF file, where 0 means none. */
function cap(file: GgufSettings, name: string, usual: number | null): number | null {
  return (file.number(name) ?? usual) || null;
}
