// What a model says of how it is to be used, where the options of a call do not.

import type { GenerateOptions } from './generate-options.js';
import type { Generative } from './generative.js';

const ofSampling = ['temperature', 'topK', 'topP', 'minP'] as const;
const ofLengths = ['maxNewTokens', 'maxLength', 'minNewTokens', 'minLength'] as const;

/**
 * Options, and what the model's `generationConfig` says of those that are left out: but for lengths, which depend on the
 * prompts (`lengthsOf`), and for what means nothing beside the options given, such as a temperature without sampling.
 */
export function withModelDefaults(model: Generative, options: GenerateOptions): GenerateOptions {
  const { generationConfig: own } = model;
  if (own === undefined) return options;
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  const kept: GenerateOptions = { ...own };
  for (const name of ofLengths) delete kept[name];
  const { doSample = false, numBeams = 1 } = { ...own, ...given } as GenerateOptions;
  if (!doSample) for (const name of ofSampling) delete kept[name];
  if (!doSample && (own.numReturnSequences ?? 1) > numBeams) delete kept.numReturnSequences;
  return { ...kept, ...given };
}
