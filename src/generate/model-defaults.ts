// A model's own settings for generation, for options that a call leaves out.

import type { GenerateOptions } from './generate-options.js';
import type { Generative } from './generative.js';
import { namesOf } from './option-table.js';

/**
 * Options, with the model's `generationConfig` for those that are left out. Lengths are not taken over, because they
 * depend on the prompts (`lengthsOf`). Settings that contradict the given options are not either: a temperature without
 * sampling, or the folder's `prefix` beside a `forcedBosTokenId`, which name the same token.
 */
export function withModelDefaults(model: Generative, options: GenerateOptions): GenerateOptions {
  const { generationConfig: own } = model;
  if (own === undefined) return options;
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const kept: GenerateOptions = { ...own };
  for (const name of namesOf('lengths')) delete kept[name];
  const { doSample = false, numBeams = 1 } = { ...own, ...given } as GenerateOptions;
  if (!doSample) for (const name of namesOf('sampling')) delete kept[name];
  if (!doSample && (own.numReturnSequences ?? 1) > numBeams) delete kept.numReturnSequences;
  if (options.forcedBosTokenId !== undefined) delete kept.prefix;
  return { ...kept, ...given };
}
