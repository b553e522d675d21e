// A model's own settings for generation, for options that a call leaves out.

import type { GenerateOptions } from './generate-options.js';
import type { Generative } from './generative.js';
import { namesOf } from './option-table.js';

/**
 * Fills in omitted options from the model's `generationConfig`. Lengths are excluded, because they depend on the
 * prompts (see `lengthsOf`). Settings that contradict the given options are also excluded. Examples are a temperature
 * without sampling, and a `prefix` next to `forcedBosTokenId`, because both set the first token.
 */
export function withModelDefaults(model: Generative, options: GenerateOptions): GenerateOptions {
  const { generationConfig: modelDefaults } = model;
  if (modelDefaults === undefined) return options;
  const overrides = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const kept: GenerateOptions = { ...modelDefaults };
  for (const name of namesOf('lengths')) delete kept[name];
  const { doSample = false, numBeams = 1 } = { ...modelDefaults, ...overrides } as GenerateOptions;
  if (!doSample) for (const name of namesOf('sampling')) delete kept[name];
  if (!doSample && (modelDefaults.numReturnSequences ?? 1) > numBeams) delete kept.numReturnSequences;
  if (options.forcedBosTokenId !== undefined) delete kept.prefix;
  return { ...kept, ...overrides };
}
