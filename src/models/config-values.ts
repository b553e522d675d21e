// Settings that several families read of a config: activations, labels, and the rotary embedding of queries and keys.

import { describeValue, isObject } from '../core/check.js';
import { FormatError } from '../core/errors.js';
import { Dropout, DropPath, LayerDrop, type Randomness } from '../nn/dropout.js';
import type { Initializer } from '../nn/init.js';
import { RotaryEmbedding, type RotaryScaling } from '../nn/rotary-embedding.js';
import type { Activation } from '../ops/activation.js';
import { ModelConfig } from './model-config.js';

const activations: Readonly<Record<string, Activation>> = {
  relu: 'relu',
  relu2: 'relu2',
  relu6: 'relu6',
  gelu: 'gelu',
  gelu_python: 'gelu',
  gelu_10: 'gelu10',
  gelu_new: 'gelu_tanh',
  gelu_fast: 'gelu_tanh',
  gelu_accurate: 'gelu_tanh',
  gelu_pytorch_tanh: 'gelu_tanh',
  gelu_python_tanh: 'gelu_tanh',
  hardswish: 'hardSwish',
  quick_gelu: 'quickGelu',
  laplace: 'laplace',
  leaky_relu: 'leakyRelu',
  linear: 'none',
  mish: 'mish',
  silu: 'silu',
  swish: 'silu',
  sigmoid: 'sigmoid',
  sqrtsoftplus: 'sqrtSoftplus',
  tanh: 'tanh',
};

/**
 * Activation by transformers' name. `gelu` is the exact one; `gelu_new`, `gelu_fast` and others are the approximation
 * by tanh. Throws FormatError for an unknown name, and for `prelu` and `xielu`, which have parameters.
 */
export function activationOf(name: unknown): Activation {
  if (typeof name === 'string' && Object.hasOwn(activations, name)) return activations[name] as Activation;
  throw new FormatError(
    `config.json: the activation is ${describeValue(name)}, expected one of ${Object.keys(activations).join(', ')}`,
  );
}

/** The dropout of that name; 0 if the config has none. */
export function dropoutOf(config: ModelConfig, name: string, randomness: Randomness): Dropout {
  return new Dropout(config.numberOrNull(name) ?? 0, randomness);
}

/** Skips layers in training, if the setting of that name is above 0. */
export function layerDropOf(config: ModelConfig, name: string, randomness: Randomness): (() => LayerDrop) | null {
  const p = config.numberOrNull(name) ?? 0;
  return p > 0 ? () => new LayerDrop(p, randomness) : null;
}

/**
 * Dropout of a residual branch: of features, by the setting `name`, or of whole branches, of which later layers drop
 * more, up to `share` 1. Throws FormatError if the config asks for both.
 */
export function dropBranch(
  config: ModelConfig,
  randomness: Randomness,
  share: number,
  name = 'hidden_dropout_prob',
): Dropout {
  const [features, layers] = [config.number(name), config.number('drop_path_rate')];
  if (features > 0 && layers > 0)
    throw new FormatError(`config.json: ${name} and drop_path_rate are above 0, expected one of them`);
  return features > 0 ? new Dropout(features, randomness) : new DropPath(layers * share, randomness);
}

/** A height and a width, or one number for both. Throws FormatError for other values. */
export function heightAndWidth(config: ModelConfig, name: string): readonly [height: number, width: number] {
  const value = config.values[name];
  if (!Array.isArray(value)) return [config.size(name), config.size(name)];
  const isSize = (size: unknown) => Number.isInteger(size) && (size as number) > 0;
  if (value.length === 2 && value.every(isSize)) return value as unknown as readonly [number, number];
  throw new FormatError(`config.json: ${name} is ${describeValue(value)}, expected one size, or a height and a width`);
}

/**
 * Number of keys that a query of a layer sees, itself included: the window if `layer_types` gives the layer one; null
 * for all.
 */
export function windowOf(config: ModelConfig, layer: number): number | null {
  const type = config.list('layer_types')[layer];
  if (type === 'full_attention') return null;
  if (type === 'sliding_attention') return config.size('sliding_window');
  const expected = 'full_attention or sliding_attention';
  throw new FormatError(`config.json: layer_types[${layer}] is ${describeValue(type)}, expected ${expected}`);
}

/**
 * The sizes of a mixture of experts. Families differ in the names of two settings: the number of experts, and their
 * width.
 */
export function expertSizes(config: ModelConfig, experts: string, dFF: string) {
  return {
    dModel: config.size('hidden_size'),
    dFF: config.size(dFF),
    experts: config.size(experts),
    chosen: config.size('num_experts_per_tok'),
  };
}

export interface RotaryChoice {
  /** Kind of the layers, if `rope_parameters` has settings for each kind. */
  readonly kind?: string | undefined;
  /** Features of a head. Default: `head_dim`. */
  readonly headSize?: number | undefined;
  /** Pairs are features of the two halves (default), or neighbours. */
  readonly layout?: 'halves' | 'interleaved' | undefined;
  /** Upper limit of positions. Default: `max_position_embeddings`. */
  readonly limit?: number | undefined;
  /** True for a model that reads texts again once they outgrow the original length of longrope. Default: false. */
  readonly rereads?: boolean | undefined;
  /**
   * True to refuse an odd number of rotated features, for which transformers' code gives heads another size. Default:
   * false.
   */
  readonly even?: boolean | undefined;
  /** Order of the pairs of `mrope_section`: by axes in turn (default), or one axis after the other. */
  readonly sections?: 'interleaved' | 'successive' | undefined;
}

/** Rotation of queries and keys by `rope_parameters`, or by those of one kind of layers. Null if nothing rotates. */
export function rotaryOf(
  init: Initializer,
  config: ModelConfig,
  {
    kind,
    headSize = config.size('head_dim'),
    layout = 'halves',
    limit,
    rereads = false,
    even = false,
    sections = 'interleaved',
  }: RotaryChoice = {},
): RotaryEmbedding | null {
  const all = config.object('rope_parameters');
  const ofKind = kind === undefined ? undefined : all[kind];
  // transformers looks for `truncate` only beside the kinds of layers.
  const rope = new ModelConfig(isObject(ofKind) ? { ...ofKind, truncate: undefined } : all);
  const share = rope.numberOrNull('partial_rotary_factor') ?? 1;
  if (rope.values.rope_type === 'proportional') return proportional(init, config, rope, headSize, share);
  const features = Math.trunc(headSize * share);
  if (even && features % 2 === 1)
    throw new FormatError(
      `config.json: partial_rotary_factor is ${share}, which rotates ${features} of ${headSize} features, expected an even number`,
    );
  const maxLength = config.size('max_position_embeddings');
  const stretched = stretchedTheta(rope, headSize);
  const theta = stretched ?? rope.number('rope_theta');
  const plain = stretched !== null ? null : rotaryScaling(rope, features, maxLength);
  const scaling = plain?.type === 'longrope' ? { ...plain, rereads } : plain;
  if (features === 0 || (scaling?.type === 'yarn' && features === 1)) return null; // too few features for a pair
  refuseUndefinedSpeeds(scaling, features);
  const axes = axesOf(rope, Math.ceil(features / 2), sections);
  const table = { headSize, maxLength: limit ?? maxLength, layout, theta, rotaryDim: features };
  return new RotaryEmbedding(init, { ...table, scaling, axes });
}

/** Returns the rotation by layer, for models whose layers with windows have their own `rope_parameters`. */
export function rotariesOf(init: Initializer, config: ModelConfig): (i: number) => RotaryEmbedding | null {
  const [everywhere, nearby] = ['full_attention', 'sliding_attention'].map((kind) => rotaryOf(init, config, { kind }));
  return (i) => (windowOf(config, i) === null ? everywhere : nearby) ?? null;
}

/**
 * The base of the frequencies that Hunyuan's "dynamic" scaling with a fixed alpha stretches. Null for other scalings.
 */
export function stretchedTheta(rope: ModelConfig, headSize: number): number | null {
  const alpha = rope.values.rope_type === 'dynamic' ? rope.numberOrNull('alpha') : null;
  return alpha ? rope.number('rope_theta') * alpha ** (headSize / (headSize - 2)) : null;
}

/**
 * Throws FormatError if the formulas of a scaling have no value for this number of features, in transformers either.
 */
function refuseUndefinedSpeeds(scaling: RotaryScaling | null, features: number): void {
  const type = scaling?.type;
  if ((type === 'yarn' && features % 2 === 1 && features > 3) || (type === 'dynamic' && features === 2))
    throw new FormatError(
      `config.json: RoPE of type ${type} rotates ${features} features, for which its frequencies are undefined`,
    );
}

/**
 * The axis of each pair: frame, row and column, as many of each as `mrope_section` says. Interleaved sections take them
 * in turn, then frames alone (Qwen3-VL). Null without this setting. Throws FormatError unless successive sections have
 * all pairs.
 */
function axesOf(rope: ModelConfig, pairs: number, order: 'interleaved' | 'successive'): number[] | null {
  if (rope.values.mrope_section == null) return null;
  const sections = rope.list('mrope_section').map(Number);
  if (order === 'successive') {
    const axes = sections.flatMap((count, i) => Array<number>(count).fill(i % 3));
    if (axes.length === pairs) return axes;
    throw new FormatError(`config.json: mrope_section has ${axes.length} pairs of features, expected ${pairs}`);
  }
  return Array.from({ length: pairs }, (_, i) => (i < 3 * (sections[i % 3] ?? 0) ? i % 3 : 0));
}

/** Gemma 4's rotation: only the fastest pairs of a head rotate. They are as fast as if all did. */
function proportional(
  init: Initializer,
  config: ModelConfig,
  rope: ModelConfig,
  headSize: number,
  share: number,
): RotaryEmbedding {
  const [theta, factor] = [rope.number('rope_theta'), rope.numberOrNull('factor') ?? 1];
  const rotating = Math.floor((share * headSize) / 2);
  const frequencies = Array.from({ length: Math.floor(headSize / 2) }, (_, i) =>
    i < rotating ? theta ** ((-2 * i) / headSize) / factor : 0,
  );
  const maxLength = config.size('max_position_embeddings');
  return new RotaryEmbedding(init, { headSize, maxLength, layout: 'halves', frequencies });
}

/**
 * Scaling of the frequencies of `rotaryDim` features by `rope_parameters`, for a model of `maxLength` tokens. Throws
 * FormatError for an unknown type, or a missing setting of the type.
 */
export function rotaryScaling(rope: ModelConfig, rotaryDim: number, maxLength: number): RotaryScaling | null {
  const type = (rope.values.rope_type ?? 'default') as RotaryScaling['type'] | 'default';
  const originalMaxLength = rope.numberOrNull('original_max_position_embeddings') ?? maxLength;
  const growth = rope.numberOrNull('factor') ?? maxLength / originalMaxLength;
  switch (type) {
    case 'default':
      return null;
    case 'linear':
      return { type, factor: rope.number('factor') };
    case 'dynamic':
      return { type, factor: rope.number('factor'), maxLength };
    case 'llama3':
      return {
        type,
        factor: rope.number('factor'),
        lowFrequencyFactor: rope.number('low_freq_factor'),
        highFrequencyFactor: rope.number('high_freq_factor'),
        originalMaxLength: rope.number('original_max_position_embeddings'),
      };
    case 'yarn':
      return {
        type,
        factor: growth,
        originalMaxLength,
        betaFast: rope.numberOrNull('beta_fast') ?? undefined,
        betaSlow: rope.numberOrNull('beta_slow') ?? undefined,
        attentionFactor: yarnFactor(rope, growth),
        truncate: rope.values.truncate === undefined || Boolean(rope.values.truncate),
      };
    case 'longrope': {
      const ownFactor = growth <= 1 ? 1 : Math.sqrt(1 + Math.log(growth) / Math.log(originalMaxLength));
      return {
        type,
        shortDivisors: divisorsOf(rope, 'short_factor', Math.ceil(rotaryDim / 2)),
        longDivisors: divisorsOf(rope, 'long_factor', Math.ceil(rotaryDim / 2)),
        originalMaxLength,
        attentionFactor: rope.numberOrNull('attention_factor') ?? ownFactor,
      };
    }
    default:
      throw new FormatError(
        `config.json: rope_type is ${describeValue(type)}, expected default, linear, dynamic, llama3, yarn or longrope`,
      );
  }
}

function divisorsOf(rope: ModelConfig, name: string, pairs: number): number[] {
  const divisors = rope.list(name);
  const isDivisor = (value: unknown) => typeof value === 'number' && Number.isFinite(value) && value > 0;
  if (divisors.length === pairs && divisors.every(isDivisor)) return divisors as number[];
  throw new FormatError(`config.json: ${name} of RoPE must be ${pairs} numbers above 0`);
}

/** YaRN's factor of tables: the given one, or from DeepSeek's two scales, or undefined for the default. */
function yarnFactor(rope: ModelConfig, factor: number): number | undefined {
  const attentionFactor = rope.numberOrNull('attention_factor');
  if (attentionFactor !== null) return attentionFactor;
  const [mscale, all] = [rope.numberOrNull('mscale'), rope.numberOrNull('mscale_all_dim')];
  if (!mscale || !all) return undefined;
  const growth = (scale: number) => (factor <= 1 ? 1 : 0.1 * scale * Math.log(factor) + 1);
  return growth(mscale) / growth(all);
}

/**
 * The limits of a state space's time steps; undefined where they limit nothing. Python writes infinity in several ways.
 */
export function timeLimitOf(config: ModelConfig): readonly [min: number, max: number] | undefined {
  if (config.values.time_step_limit == null) return undefined;
  const [min, max] = config.list('time_step_limit').map((value) => {
    const number = isObject(value) ? Number((value as { __float__?: unknown }).__float__) : value;
    if (typeof number === 'number' && !Number.isNaN(number)) return number;
    throw new FormatError(`config.json: time_step_limit has ${describeValue(value)}, expected two numbers`);
  });
  if (min === undefined || max === undefined)
    throw new FormatError('config.json: time_step_limit does not have two numbers');
  return min <= 0 && max === Number.POSITIVE_INFINITY ? undefined : [min, max];
}
