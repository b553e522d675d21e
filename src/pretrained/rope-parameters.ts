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
  nomic_bert: 1000,
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
    const isNeoX = type === 'gpt_neox';
    const partial = config.partial_rotary_factor ?? (isNeoX ? (config.rotary_pct ?? 0.25) : undefined);
    const base = (isNeoX ? config.rotary_emb_base : config.rope_theta) ?? theta;
    const older = { rope_theta: base, partial_rotary_factor: partial };
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
