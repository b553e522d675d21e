// Options of `generate` as transformers.js names them, max_new_tokens for maxNewTokens.

import { checkKnown } from '../core/check.js';
import type { GenerateOptions } from '../generate/generate-options.js';
import type { LoadedModel } from '../pretrained/load-later.js';

/** Options that decide which tokens come out; what a call is told meanwhile, and when it ends, every task says itself. */
const NAMES = [
  ...(['maxNewTokens', 'maxLength', 'minNewTokens', 'minLength', 'stopTokens', 'stop'] as const),
  ...(['numBeams', 'lengthPenalty', 'earlyStopping', 'numReturnSequences'] as const),
  ...(['doSample', 'temperature', 'topK', 'topP', 'minP', 'seed'] as const),
  ...(['repetitionPenalty', 'noRepeatNgramSize', 'badWordsIds', 'forcedBosTokenId', 'forcedEosTokenId'] as const),
  ...(['suppressTokens', 'beginSuppressTokens', 'logitsProcessors', 'responseFormat'] as const),
] as const satisfies readonly (keyof GenerateOptions)[];

type Name = (typeof NAMES)[number];

type Snake<Text extends string> = Text extends `${infer First}${infer Rest}`
  ? `${First extends Lowercase<First> ? First : `_${Lowercase<First>}`}${Snake<Rest>}`
  : '';

/** The options of `generate` by both of their names: as it has them, and as transformers.js writes them. */
export type GenerationArguments = {
  [Key in Name | Snake<Name>]?: Key extends Name
    ? GenerateOptions[Key]
    : { [Own in Name as Snake<Own>]: GenerateOptions[Own] }[Key & Snake<Name>];
};

const camels: ReadonlyMap<string, Name> = new Map(
  NAMES.flatMap((name) => [
    [name, name] as const,
    [name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`), name] as const,
  ]),
);

/**
 * Parts options of a task, whose own names are `own`, from those for `generate`. Settings of sampling are left out where
 * nothing is drawn, as transformers leaves them. Throws ArgumentError for names that are neither.
 */
export function generationArguments<Options extends object>(
  task: string,
  model: Pick<LoadedModel, 'generationConfig'>,
  options: Options & GenerationArguments,
  own: readonly (keyof Options & string)[],
): GenerateOptions {
  checkKnown(task, options, [...own, ...camels.keys()] as (keyof Options & string)[]);
  const known = Object.entries(options).flatMap(([name, value]) => {
    const camel = camels.get(name);
    return camel === undefined || value === undefined ? [] : [[camel, value] as const];
  });
  const generate: GenerateOptions = Object.fromEntries(known);
  if (generate.doSample ?? model.generationConfig.doSample) return generate;
  const { temperature: _, topK: _k, topP: _p, minP: _m, ...greedy } = generate;
  return greedy;
}
