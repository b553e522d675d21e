// Reads the settings of rotary embeddings in the form of transformers 5, `rope_parameters`. Older files have
// `rope_theta`, `rope_scaling` and settings of single families.

import { describeValue, isObject } from '../core/check.js';
import { FormatError } from '../core/errors.js';
import type { RopeDefaults } from '../models/family.js';
import type { Json } from '../models/model-config.js';

/** Settings of one kind of layer. */
export interface RopeParameters {
  readonly rope_type: 'default' | 'linear' | 'dynamic' | 'yarn' | 'longrope' | 'llama3' | 'proportional';
  /** The base of the frequencies. */
  readonly rope_theta: number;
  /** The part of a head's columns, from the first on, that is rotated. Default: 1. */
  readonly partial_rotary_factor?: number | undefined;
  /** Ratio of the maximum text length to that of pretraining. */
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
  /** Numbers of column pairs that rotate by the frame, row and column of an image. */
  readonly mrope_section?: readonly number[] | undefined;
}

/** Settings of layers with full attention and of layers with a window, if these differ. */
export interface LayeredRope {
  readonly full_attention: RopeParameters;
  readonly sliding_attention: RopeParameters;
}

const TYPES = ['default', 'linear', 'dynamic', 'yarn', 'longrope', 'llama3', 'proportional'];

/**
 * Returns the `rope_parameters` of a config: one object for all layers, or one each for `full_attention` and
 * `sliding_attention`. Throws FormatError for unknown settings.
 */
export function ropeParameters(family: RopeDefaults, config: Json): RopeParameters | LayeredRope {
  const { rope_parameters: parameters, rope_scaling: scaling } = config;
  for (const [name, value] of Object.entries({ rope_parameters: parameters, rope_scaling: scaling })) {
    if (value != null && !isObject(value))
      throw new FormatError(`config.json: ${name} is ${describeValue(value)}, expected an object`);
  }
  const { theta, thetaName = 'rope_theta', partial, partialName = 'partial_rotary_factor', sliding } = family;
  const older = {
    rope_theta: config[thetaName] ?? theta,
    partial_rotary_factor: config.partial_rotary_factor ?? config[partialName] ?? partial,
  };
  if (sliding === undefined) return standard(family, config, older, (filled(scaling) ?? parameters ?? {}) as Json);
  const parts = (parameters ?? {}) as Json;
  const scaled = (scaling ?? {}) as Json;
  const ofKind = (kind: string, isScaled: boolean) => ({ ...(parts[kind] as Json), ...(isScaled && scaled) });
  const near = { rope_theta: config[sliding.thetaName] ?? sliding.theta };
  return {
    full_attention: standard(family, config, older, ofKind('full_attention', true)),
    sliding_attention: standard(family, config, near, ofKind('sliding_attention', sliding.isScaled)),
  };
}

/** Undefined for null and for an object without settings. */
const filled = (scaling: unknown) => (isObject(scaling) && Object.keys(scaling).length > 0 ? scaling : undefined);

function standard(
  { typeNames, sections, partial }: RopeDefaults,
  config: Json,
  older: Json,
  { type: oldName, ...parameters }: Json,
): RopeParameters {
  const kind = ropeType(parameters.rope_type ?? oldName ?? 'default', typeNames);
  const all: Record<string, unknown> = { rope_theta: older.rope_theta, ...parameters, rope_type: kind };
  all.partial_rotary_factor ??= older.partial_rotary_factor;
  if (sections) all.mrope_section ??= sections;
  // Without scaling, transformers rotates parts of heads only in families that have a share of their own.
  if (all.partial_rotary_factor === undefined || (kind === 'default' && partial === undefined))
    delete all.partial_rotary_factor;
  if (['llama3', 'yarn', 'longrope'].includes(kind)) {
    const outside = config.original_max_position_embeddings;
    if (outside != null) all.original_max_position_embeddings = outside;
    all.original_max_position_embeddings ??= config.max_position_embeddings;
  }
  checkNumbers(all);
  return all as unknown as RopeParameters;
}

/** The present name of a type of RoPE. Throws FormatError for an unknown one. */
function ropeType(value: unknown, typeNames: RopeDefaults['typeNames']): string {
  const name = String(value);
  const type = typeNames?.[name] ?? (name === 'su' ? 'longrope' : name); // the first name of LongRoPE
  if (TYPES.includes(type)) return type;
  throw new FormatError(`config.json: rope_type is ${describeValue(value)}, expected one of ${TYPES.join(', ')}`);
}

function checkNumbers(parameters: Record<string, unknown>): void {
  for (const [name, value] of Object.entries(parameters)) {
    const isKnown = value === null || !numbers.includes(name) || (typeof value === 'number' && value > 0);
    if (!isKnown)
      throw new FormatError(`config.json: ${name} of RoPE is ${describeValue(value)}, expected a number above 0`);
  }
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
