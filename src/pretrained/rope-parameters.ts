// How queries and keys are rotated, in the one form of transformers 5, `rope_parameters`, from those of before: `rope_theta` and
// `rope_scaling`, and what single families called these.

import { describeValue, isObject } from '../core/check.js';
import { FormatError } from '../core/errors.js';

type Json = Readonly<Record<string, unknown>>;

/** Settings of one kind of layer. */
export interface RopeParameters {
  readonly rope_type: 'default' | 'linear' | 'dynamic' | 'yarn' | 'longrope' | 'llama3';
  /** The base of the frequencies. */
  readonly rope_theta: number;
  /** Which part of a head is rotated, its first columns. Default all of it. */
  readonly partial_rotary_factor?: number | undefined;
  /** By how much longer texts are than those of pretraining. */
  readonly factor?: number | undefined;
  readonly original_max_position_embeddings?: number | undefined;
  readonly attention_factor?: number | undefined;
  readonly low_freq_factor?: number | undefined;
  readonly high_freq_factor?: number | undefined;
  readonly beta_fast?: number | undefined;
  readonly beta_slow?: number | undefined;
  readonly mscale?: number | undefined;
  readonly mscale_all_dim?: number | undefined;
  readonly truncate?: boolean | undefined;
  readonly short_factor?: readonly number[] | undefined;
  readonly long_factor?: readonly number[] | undefined;
}

/** Where layers that see everything and those that see a window have their own. */
export interface LayeredRope {
  readonly full_attention: RopeParameters;
  readonly sliding_attention: RopeParameters;
}

/** Frequencies' bases of families that rotate; of those with two kinds of layers one for each, full and windowed. */
const thetas: Readonly<Record<string, number | readonly [full: number, sliding: number]>> = {
  llama: 10000,
  mistral: 10000,
  qwen2: 10000,
  qwen3: 10000,
  gemma: 10000,
  gemma2: 10000,
  gemma3_text: [1000000, 10000],
  gpt_neox: 10000,
  phi3: 10000,
  olmo2: 10000,
  smollm3: 2000000,
  modernbert: [160000, 10000],
};

/** Names of before for the bases of both kinds of layers. */
const ofKinds: Readonly<Record<string, readonly [full: string, sliding: string]>> = {
  gemma3_text: ['rope_theta', 'rope_local_base_freq'],
  modernbert: ['global_rope_theta', 'local_rope_theta'],
};

const TYPES = ['default', 'linear', 'dynamic', 'yarn', 'longrope', 'llama3'];

/**
 * The `rope_parameters` of a family's config, one object, or for ModernBERT and Gemma 3 one for `full_attention` and one for
 * `sliding_attention`; null for families that do not rotate. Throws FormatError for settings that are not known.
 */
export function ropeParameters(type: string, config: Json): RopeParameters | LayeredRope | null {
  const theta = thetas[type];
  if (theta === undefined) return null;
  const { rope_parameters: given, rope_scaling: scaling } = config;
  for (const [name, value] of Object.entries({ rope_parameters: given, rope_scaling: scaling })) {
    if (value != null && !isObject(value))
      throw new FormatError(`config.json: ${name} is ${describeValue(value)}, expected an object`);
  }
  if (typeof theta === 'number') {
    const partial = config.partial_rotary_factor ?? (type === 'gpt_neox' ? (config.rotary_pct ?? 0.25) : undefined);
    const older = { rope_theta: config.rope_theta ?? config.rotary_emb_base ?? theta, partial_rotary_factor: partial };
    return standard(type, config, older, (scaling ?? given ?? {}) as Json);
  }
  const names = ofKinds[type] as readonly [string, string];
  const parts = (given ?? {}) as Json;
  // Gemma 3 stretches only the layers that see everything.
  const scaled = (isObject(scaling) ? scaling : {}) as Json;
  const full = { ...((parts.full_attention as Json) ?? {}), ...scaled };
  const sliding = { ...((parts.sliding_attention as Json) ?? {}), ...(type === 'modernbert' ? scaled : {}) };
  return {
    full_attention: standard(type, config, { rope_theta: config[names[0]] ?? theta[0] }, full),
    sliding_attention: standard(type, config, { rope_theta: config[names[1]] ?? theta[1] }, sliding),
  };
}

function standard(type: string, config: Json, older: Json, { type: oldName, ...given }: Json): RopeParameters {
  let kind = given.rope_type ?? oldName ?? 'default';
  if (kind === 'su' || (type === 'phi3' && kind === 'yarn')) kind = 'longrope'; // what Phi-3's first files called it
  if (!TYPES.includes(kind as string))
    throw new FormatError(`config.json: rope_type is ${describeValue(kind)}, expected one of ${TYPES.join(', ')}`);
  const all: Record<string, unknown> = { rope_theta: older.rope_theta, ...given, rope_type: kind };
  all.partial_rotary_factor ??= older.partial_rotary_factor ?? (type === 'phi3' ? 1 : undefined);
  if (all.partial_rotary_factor === undefined) delete all.partial_rotary_factor;
  if (['llama3', 'yarn', 'longrope'].includes(kind as string)) {
    const outside = config.original_max_position_embeddings;
    if (outside != null) all.original_max_position_embeddings = outside;
    all.original_max_position_embeddings ??= config.max_position_embeddings;
  }
  for (const [name, value] of Object.entries(all)) {
    const isKnown = value === null || !numbers.includes(name) || (typeof value === 'number' && value > 0);
    if (!isKnown)
      throw new FormatError(`config.json: ${name} of RoPE is ${describeValue(value)}, expected a number above 0`);
  }
  return all as unknown as RopeParameters;
}

const numbers = [
  'rope_theta',
  'partial_rotary_factor',
  'factor',
  'original_max_position_embeddings',
  'attention_factor',
  'low_freq_factor',
  'high_freq_factor',
  'beta_fast',
  'beta_slow',
];

/** What rotates a head: the angle a position adds for each pair of columns, and by what sines and cosines are multiplied. */
export interface RotaryFrequencies {
  readonly frequencies: Float64Array;
  readonly scale: number;
}

/**
 * The frequencies of a head of `headDim` columns, of which `partial_rotary_factor` are rotated: θ^(−2i/d) (Su et al., 2021), and for longer texts
 * than those of pretraining
 * - `linear`: all divided by the factor (Chen et al., 2023);
 * - `dynamic`: θ grows with the text (NTK-aware scaling), for texts longer than `maxPositions`;
 * - `yarn`: high ones stay, low ones are divided (Peng et al., 2023);
 * - `llama3`: the same with other bounds (Llama 3.1);
 * - `longrope`: each has a divisor of its own, one list for short texts and one for long ones (Ding et al., 2024).
 *
 * `length` is that of the text, for those that depend on it; left out, it is a short one. Throws FormatError for what a kind needs and has not.
 */
export function rotaryFrequencies(
  rope: RopeParameters,
  headDim: number,
  maxPositions: number,
  length = 0,
): RotaryFrequencies {
  const dim = Math.trunc(headDim * (rope.partial_rotary_factor ?? 1));
  const need = (name: 'factor' | 'low_freq_factor' | 'high_freq_factor' | 'original_max_position_embeddings') => {
    const value = rope[name];
    if (typeof value === 'number') return value;
    throw new FormatError(`config.json: RoPE of type ${rope.rope_type} has no ${name}`);
  };
  const plain = (theta = rope.rope_theta) =>
    Float64Array.from({ length: Math.ceil(dim / 2) }, (_, i) => theta ** ((-2 * i) / dim));
  switch (rope.rope_type) {
    case 'default':
      return { frequencies: plain(), scale: 1 };
    case 'linear':
      return { frequencies: plain().map((f) => f / need('factor')), scale: 1 };
    case 'dynamic': {
      const factor = need('factor');
      const long = Math.max(length, maxPositions);
      const growth = (factor * long) / maxPositions - (factor - 1);
      return { frequencies: plain(rope.rope_theta * growth ** (dim / (dim - 2))), scale: 1 };
    }
    case 'llama3': {
      const original = need('original_max_position_embeddings');
      const [factor, low, high] = [need('factor'), need('low_freq_factor'), need('high_freq_factor')];
      const stretched = (f: number) => {
        const turns = (original * f) / (2 * Math.PI); // in a text of pretraining
        if (turns < low) return f / factor;
        if (turns > high) return f;
        const share = (turns - low) / (high - low);
        return ((1 - share) * f) / factor + share * f;
      };
      return { frequencies: plain().map(stretched), scale: 1 };
    }
    case 'yarn':
      return yarn(rope, plain(), dim, need('original_max_position_embeddings'), maxPositions);
    case 'longrope': {
      const original = need('original_max_position_embeddings');
      const divisors = length > original ? rope.long_factor : rope.short_factor;
      const all = plain();
      if (!Array.isArray(divisors) || divisors.length !== all.length || !divisors.every((d) => Number.isFinite(d)))
        throw new FormatError(`config.json: RoPE's short_factor and long_factor must be ${all.length} numbers each`);
      const factor = rope.factor ?? maxPositions / original;
      const scale = rope.attention_factor ?? (factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original)));
      return { frequencies: all.map((f, i) => f / (divisors[i] as number)), scale };
    }
  }
}

function yarn(
  rope: RopeParameters,
  plain: Float64Array,
  dim: number,
  original: number,
  maxPositions: number,
): RotaryFrequencies {
  const factor = rope.factor ?? maxPositions / original;
  const magnitude = (by = 1) => (factor <= 1 ? 1 : 0.1 * by * Math.log(factor) + 1);
  const { mscale, mscale_all_dim: all } = rope;
  const scale = rope.attention_factor ?? (mscale && all ? magnitude(mscale) / magnitude(all) : magnitude());
  // The column that turns so often in a text of pretraining.
  const columnOf = (turns: number) =>
    (dim * Math.log(original / (turns * 2 * Math.PI))) / (2 * Math.log(rope.rope_theta));
  let low = columnOf(rope.beta_fast ?? 32);
  let high = columnOf(rope.beta_slow ?? 1);
  if (rope.truncate !== false) [low, high] = [Math.floor(low), Math.ceil(high)];
  low = Math.max(low, 0);
  high = Math.min(high, dim - 1);
  if (low === high) high += 0.001;
  const frequencies = plain.map((f, i) => {
    const divided = Math.min(1, Math.max(0, (i - low) / (high - low)));
    return (f / factor) * divided + f * (1 - divided);
  });
  return { frequencies, scale };
}
