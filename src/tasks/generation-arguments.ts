// Options of `generate` by the names of transformers.js, such as max_new_tokens for maxNewTokens.

import { checkKnown, mismatch, type OptionRule } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import { snakeCase } from '../core/snake-case.js';
import type { GenerateOptions } from '../generate/generate-options.js';
import { OPTION_RULES } from '../generate/option-rules.js';
import { namesOf, type OptionName } from '../generate/option-table.js';
import type { LoadedModel } from '../pretrained/load-later.js';

/**
 * Options that are not in the table, but influence the generated tokens. Each task defines its other options itself.
 */
const OTHERS = ['stopTokens', 'stop', 'logitsProcessors', 'responseFormat'] as const;

type Running = 'cropContext' | 'outputAttentions' | 'batchSize';
type Name = Exclude<OptionName, Running> | (typeof OTHERS)[number];

const NAMES = [...namesOf('lengths', 'search', 'scores', 'sampling'), ...OTHERS] as readonly Name[];

type Snake<Text extends string> = Text extends `${infer First}${infer Rest}`
  ? `${First extends Lowercase<First> ? First : `_${Lowercase<First>}`}${Snake<Rest>}`
  : '';

/** The options of `generate` under two names each: that of `generate`, and that of transformers.js. */
export type GenerationArguments = {
  [Key in Name | Snake<Name>]?: Key extends Name
    ? GenerateOptions[Key]
    : { [Own in Name as Snake<Own>]: GenerateOptions[Own] }[Key & Snake<Name>];
};

const camels: ReadonlyMap<string, Name> = new Map(
  NAMES.flatMap((name) => [[name, name] as const, [snakeCase(name), name] as const]),
);

/**
 * Returns the options for `generate` among those of a call. `ownNames`: names of the task's own options. Sampling
 * settings are dropped if sampling is off, as in transformers. Throws ArgumentError for unknown names, and for values
 * of the wrong type.
 */
export function generationArguments<Options extends object>(
  task: string,
  model: Pick<LoadedModel, 'generationConfig'>,
  options: Options & GenerationArguments,
  ownNames: readonly (keyof Options & string)[],
): GenerateOptions {
  checkKnown(task, options, [...ownNames, ...camels.keys()] as (keyof Options & string)[]);
  const known = Object.entries(options).flatMap(([name, value]) => {
    const camel = camels.get(name);
    if (camel === undefined || value === undefined) return [];
    const rule = OPTION_RULES[camel] as OptionRule;
    if (!rule.accepts(value)) throw new ArgumentError(`${task}: ${mismatch(name, value, rule)}`);
    return [[camel, value] as const];
  });
  const generate: GenerateOptions = Object.fromEntries(known);
  if (generate.doSample ?? model.generationConfig.doSample) return generate;
  for (const name of namesOf('sampling')) delete generate[name];
  return generate;
}
