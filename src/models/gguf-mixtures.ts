// Settings that `saveGguf` writes for several families, and those that it refuses.

import { describeValue } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { GgufNumber } from './family.js';
import type { Json, ModelConfig } from './model-config.js';

/** The numbers of experts that `saveGguf` writes. `name`: the setting with their number. */
export function ggufExpertCounts(config: ModelConfig, name: string): Record<string, GgufNumber> {
  return {
    expert_count: { uint32: config.size(name) },
    expert_used_count: { uint32: config.size('num_experts_per_tok') },
  };
}

/**
 * The context of a model whose windows are in all layers: llama.cpp has none for its family. A context of a window's
 * size gives the same results.
 */
export function ggufContextInWindow(config: ModelConfig): Record<string, GgufNumber> {
  const window = config.numberOrNull('sliding_window');
  if (window === null || window >= config.size('max_position_embeddings')) return {};
  return { context_length: { uint32: window } };
}

/** The numbers of rotated pairs for each axis: frames, rows, columns, and one that no family has. */
export function ggufSections(config: ModelConfig): Record<string, GgufNumber> {
  const { mrope_section: sections } = config.object('rope_parameters');
  return Array.isArray(sections) ? { 'rope.dimension_sections': { int32s: [...sections, 0] } } : {};
}

/** Throws ArgumentError unless layers of these kinds exist. llama.cpp stops if a model of such a family has none. */
export function expectKinds(name: string, kinds: readonly unknown[], expected: readonly string[]): void {
  const missing = expected.find((kind) => !kinds.includes(kind));
  if (missing !== undefined)
    throw new ArgumentError(
      `saveGguf: ${name} has no ${missing}, without which llama.cpp stops. Save the model as safetensors`,
    );
}

/** Throws ArgumentError for a setting that GGUF files cannot hold, and that llama.cpp takes as `expected`. */
export function expectForGguf(config: ModelConfig, expected: Json): void {
  for (const [name, value] of Object.entries(expected))
    if ((config.values[name] ?? null) !== value)
      throw new ArgumentError(
        `saveGguf: ${name} is ${describeValue(config.values[name])}, expected ${describeValue(value)}: llama.cpp computes nothing else. Save the model as safetensors`,
      );
}
