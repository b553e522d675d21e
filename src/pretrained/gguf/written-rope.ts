// Rotary positions in GGUF files: settings, or a tensor of divisors.

import { isObject } from '../../core/check.js';
import { ArgumentError } from '../../core/errors.js';
import type { GgufEntry, GgufPart } from '../../io/gguf-writer.js';
import { rotaryScaling, stretchedTheta } from '../../models/config-values.js';
import type { GgufFamily } from '../../models/family.js';
import { ModelConfig } from '../../models/model-config.js';
import { type RotaryScaling, scaledFrequencies } from '../../nn/rotary-embedding.js';

/**
 * Settings of a decoder's rotary positions, by names without the architecture, and the tensor of divisors, if needed.
 */
export interface WrittenRope {
  readonly sizes: Readonly<Record<string, GgufEntry>>;
  readonly parts: readonly GgufPart[];
}

/** Architectures for which llama.cpp reads divisors of frequencies: the same for all texts, or for short and long ones. */
const WITH_DIVISORS = ['exaone4', 'falcon-h1', 'gemma4', 'granite', 'granitehybrid', 'granitemoe', 'llama', 'mistral3'];
const WITH_LENGTHS = ['granite', 'granitemoe', 'llama', 'mistral3', 'phi3'];

/** Throws ArgumentError for scalings that files cannot express. */
export function writtenRope(config: ModelConfig, architecture: string, family: GgufFamily): WrittenRope {
  const all = config.object('rope_parameters');
  const written = ropeOf(config, family);
  const { rope_type: type } = isObject(all.full_attention) ? all.full_attention : all;
  const supported = written.parts.length > 1 ? WITH_LENGTHS : WITH_DIVISORS;
  if (written.parts.length === 0 || supported.includes(architecture)) return written;
  throw new ArgumentError(
    `saveGguf: rotary positions are scaled as ${String(type)}, which llama.cpp does not read for ${architecture}. Save the model as safetensors`,
  );
}

function ropeOf(config: ModelConfig, family: GgufFamily): WrittenRope {
  const all = config.object('rope_parameters');
  const rope = new ModelConfig(isObject(all.full_attention) ? all.full_attention : all);
  const features = Math.trunc(config.size('head_dim') * (rope.numberOrNull('partial_rotary_factor') ?? 1));
  const stretched = stretchedTheta(rope, config.size('head_dim'));
  const theta = stretched ?? rope.number('rope_theta');
  const sizes = {
    'rope.freq_base': { float32: theta },
    'rope.dimension_count': { uint32: features },
    ...nearRope(all.sliding_attention),
  };
  if (rope.values.rope_type === 'proportional') return proportional(rope, config.size('head_dim'), sizes);
  if (stretched !== null) return { sizes, parts: [] };
  const scaling = rotaryScaling(rope, features, config.size('max_position_embeddings'));
  switch (scaling?.type) {
    case undefined:
      return { sizes, parts: [] };
    case 'linear':
      return { sizes: { ...sizes, ...scaled('linear', scaling.factor) }, parts: [] };
    case 'yarn': {
      const { factor, originalMaxLength, attentionFactor, betaFast, betaSlow, truncate } = scaling;
      if (!truncate && !family.tellsYarnTruncation) break;
      // llama.cpp multiplies YaRN's usual factor by this one, and ignores the next.
      const relative = attentionFactor && attentionFactor / Math.max(1, 1 + 0.1 * Math.log(factor));
      const yarn = { attn_factor: attentionFactor, beta_fast: betaFast, beta_slow: betaSlow };
      const cut = family.tellsYarnTruncation ? { 'rope.scaling.yarn_truncate': { bool: truncate !== false } } : {};
      const own = relative === undefined ? {} : { 'rope.scaling.attn_factor': { float32: relative } };
      const entries = Object.entries(yarn).flatMap(([name, value]) =>
        value === undefined ? [] : [[`rope.scaling.yarn_${name}`, { float32: value }] as const],
      );
      const original = { 'rope.scaling.original_context_length': { uint32: originalMaxLength } };
      return {
        sizes: { ...sizes, ...scaled('yarn', factor), ...original, ...cut, ...own, ...Object.fromEntries(entries) },
        parts: [],
      };
    }
    case 'longrope':
      return longRope(family, scaling, sizes);
    case 'llama3': {
      const [plain, slower] = [null, scaling].map(
        (ropeScaling) => scaledFrequencies(features, theta, ropeScaling).frequencies,
      );
      return { sizes, parts: [divisors((plain as number[]).map((speed, i) => speed / (slower?.[i] as number)))] };
    }
  }
  throw new ArgumentError(
    `saveGguf: rotary positions are scaled as ${scaling?.type}, with settings that GGUF files of this family cannot hold. Save the model as safetensors`,
  );
}

/** Divisors for short and for long texts. llama.cpp chooses by the length of its context. */
function longRope(
  { hasBothDivisors = false }: GgufFamily,
  scaling: RotaryScaling & { type: 'longrope' },
  sizes: WrittenRope['sizes'],
): WrittenRope {
  const { attentionFactor, shortDivisors, longDivisors, originalMaxLength } = scaling;
  const isSame = attentionFactor === 1 && `${shortDivisors}` === `${longDivisors}`;
  if (isSame && !hasBothDivisors) return { sizes, parts: [divisors(shortDivisors)] };
  return {
    sizes: {
      ...sizes,
      'rope.scaling.type': { string: 'longrope' },
      'rope.scaling.attn_factor': { float32: attentionFactor ?? 1 },
      'rope.scaling.original_context_length': { uint32: originalMaxLength },
    },
    parts: [divisors(shortDivisors, 'rope_factors_short.weight'), divisors(longDivisors, 'rope_factors_long.weight')],
  };
}

/** A divisor that stops a rotation, as in llama.cpp's converter. */
const STOPS = 1e30;

/** Gemma 4's positions: the fastest pairs of a head rotate. */
function proportional(rope: ModelConfig, headSize: number, sizes: WrittenRope['sizes']): WrittenRope {
  if ((rope.numberOrNull('factor') ?? 1) !== 1)
    throw new ArgumentError(`saveGguf: rotary positions are scaled by ${rope.number('factor')}, expected 1`);
  const pairs = Math.floor(headSize / 2);
  const rotating = Math.floor((rope.number('partial_rotary_factor') * headSize) / 2);
  const values = Array.from({ length: pairs }, (_, i) => (i < rotating ? 1 : STOPS));
  return { sizes: { ...sizes, 'rope.dimension_count': { uint32: headSize } }, parts: [divisors(values)] };
}

/** Returns the rotary settings of layers with a window, if they differ. */
function nearRope(rope: unknown): Record<string, GgufEntry> {
  if (!isObject(rope)) return {};
  const { rope_theta: theta, rope_type: type = 'default' } = rope;
  if (type === 'default' && typeof theta === 'number') return { 'rope.freq_base_swa': { float32: theta } };
  throw new ArgumentError(
    `saveGguf: rotary positions in layers with a window are scaled as ${String(type)}, which GGUF files cannot hold`,
  );
}

function scaled(type: string, factor: number): Record<string, GgufEntry> {
  return { 'rope.scaling.type': { string: type }, 'rope.scaling.factor': { float32: factor } };
}

function divisors(values: readonly number[], name = 'rope_freqs.weight'): GgufPart {
  const bytes = () => new Uint8Array(Float32Array.from(values).buffer);
  return { name, type: 'F32', shape: [values.length], bytes };
}
