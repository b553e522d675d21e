// Options of `generate` as transformers.js names them, max_new_tokens for maxNewTokens.

import { checkKnown, mismatch, type OptionRule } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { GenerateOptions } from '../generate/generate-options.js';
import { OPTION_RULES } from '../generate/option-rules.js';
import { namesOf, type OptionName } from '../generate/option-table.js';
import type { LoadedModel } from '../pretrained/load-later.js';

/** Options beside those of the table that decide which tokens come out. A task itself offers all others that it has. */
const OTHERS = ['stopTokens', 'stop', 'logitsProcessors', 'responseFormat'] as const;

type Running = 'cropContext' | 'outputAttentions' | 'batchSize';
type Name = Exclude<OptionName, Running> | (typeof OTHERS)[number];

const NAMES = [...namesOf('lengths', 'search', 'scores', 'sampling'), ...OTHERS] as readonly Name[];

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
 * The options for `generate` among those of a task, whose own names are `own`. Settings of sampling are left out if
 * nothing is drawn, as in transformers. Throws ArgumentError for names of neither kind, and for values of the wrong type.
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
