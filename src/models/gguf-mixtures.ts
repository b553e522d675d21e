// Settings of mixtures of experts that `saveGguf` writes, and those that it refuses.

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

/** Throws ArgumentError for a setting that GGUF files cannot hold, and that llama.cpp takes as `expected`. */
export function expectForGguf(config: ModelConfig, expected: Json): void {
  for (const [name, value] of Object.entries(expected))
    if ((config.values[name] ?? null) !== value)
      throw new ArgumentError(
        `saveGguf: ${name} is ${describeValue(config.values[name])}, expected ${describeValue(value)}: llama.cpp computes nothing else`,
      );
}
