// Rotary positions in GGUF files: settings, or a tensor of divisors.

import { isObject } from '../../core/check.js';
import { ArgumentError } from '../../core/errors.js';
import type { GgufEntry, GgufPart } from '../../io/gguf-writer.js';
import { rotaryScaling } from '../../models/config-values.js';
import { ModelConfig } from '../../models/model-config.js';
import { scaledFrequencies } from '../../nn/rotary-embedding.js';

/**
 * Settings of a decoder's rotary positions, by names without the architecture, and the tensor of divisors, if needed.
 */
export interface WrittenRope {
  readonly sizes: Readonly<Record<string, GgufEntry>>;
  readonly parts: readonly GgufPart[];
}

/** Throws ArgumentError for scalings that files cannot express. */
export function writtenRope(config: ModelConfig): WrittenRope {
  const all = config.object('rope_parameters');
  const rope = new ModelConfig(isObject(all.full_attention) ? all.full_attention : all);
  const features = Math.trunc(config.size('head_dim') * (rope.numberOrNull('partial_rotary_factor') ?? 1));
  const theta = rope.number('rope_theta');
  const sizes = {
    'rope.freq_base': { float32: theta },
    'rope.dimension_count': { uint32: features },
    ...nearRope(all.sliding_attention),
  };
  const scaling = rotaryScaling(rope, features, config.size('max_position_embeddings'));
  switch (scaling?.type) {
    case undefined:
      return { sizes, parts: [] };
    case 'linear':
      return { sizes: { ...sizes, ...scaled('linear', scaling.factor) }, parts: [] };
    case 'yarn': {
      const { factor, originalMaxLength, attentionFactor, betaFast, betaSlow, truncate } = scaling;
      if (truncate === false) break;
      const yarn = { attn_factor: attentionFactor, beta_fast: betaFast, beta_slow: betaSlow };
      const entries = Object.entries(yarn).flatMap(([name, value]) =>
        value === undefined ? [] : [[`rope.scaling.yarn_${name}`, { float32: value }] as const],
      );
      const original = { 'rope.scaling.original_context_length': { uint32: originalMaxLength } };
      return { sizes: { ...sizes, ...scaled('yarn', factor), ...original, ...Object.fromEntries(entries) }, parts: [] };
    }
    case 'longrope':
      if (scaling.attentionFactor !== 1 || `${scaling.shortDivisors}` !== `${scaling.longDivisors}`) break;
      return { sizes, parts: [divisors(scaling.shortDivisors)] };
    case 'llama3': {
      const [plain, slower] = [null, scaling].map(
        (ropeScaling) => scaledFrequencies(features, theta, ropeScaling).frequencies,
      );
      return { sizes, parts: [divisors((plain as number[]).map((speed, i) => speed / (slower?.[i] as number)))] };
    }
  }
  throw new ArgumentError(
    `saveGguf: rotary positions are scaled as ${scaling?.type}, with settings that GGUF files of this family cannot hold`,
  );
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

function divisors(values: readonly number[]): GgufPart {
  const bytes = () => new Uint8Array(Float32Array.from(values).buffer);
  return { name: 'rope_freqs.weight', type: 'F32', shape: [values.length], bytes };
}
