// Defaults and checks of the options of `generate`. Most come from the option table.

import { checkKnown, checkNumber, checkSynchronous, isWhole, mismatch, withDefaults } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import { isList } from '../core/kinds.js';
import type { GenerateOptions } from './generate-options.js';
import type { Generative } from './generative.js';
import { OPTION_RULES } from './option-rules.js';
import { type AnyRow, isNeutral, namesOf, OPTION_ROWS, OPTION_TABLE } from './option-table.js';
import type { GenerationSettings } from './plan.js';

export function refuseOptions(message: string): never {
  throw new ArgumentError(`generate: ${message}`);
}

/** Throws ArgumentError for an unknown option, and for one whose value breaks its rule in OPTION_RULES. */
export function checkKinds(options: GenerateOptions): void {
  checkKnown('generate', options, Object.keys(OPTION_RULES) as (keyof GenerateOptions)[]);
  for (const [name, rule] of Object.entries(OPTION_RULES)) {
    const value = options[name as keyof GenerateOptions];
    if (value !== undefined && !rule.accepts(value)) refuseOptions(mismatch(name, value, rule));
  }
}

/** Adds defaults to options that `checkKinds` has checked. */
export function settingsOf(
  model: Generative,
  options: GenerateOptions,
  lengths: Pick<GenerationSettings, 'maxNewTokens' | 'minNewTokens'>,
): GenerationSettings {
  const { stop, stopTokens = model.endIds, forcedEosTokenId: forced, ...generationOptions } = withoutTotals(options);
  const defaults = Object.fromEntries(OPTION_ROWS.map(([name, row]) => [name, row.default]));
  return withDefaults<GenerationSettings>(generationOptions, {
    ...(withoutTotals(defaults) as unknown as GenerationSettings),
    forcedEosTokenId: forced == null ? [] : isList(forced) ? Array.from(forced) : [forced as number],
    logitsProcessors: [],
    ...lengths,
    stop: stop && ((tokens: readonly number[]) => checkSynchronous('generate: stop', stop(tokens))),
    stopTokens: new Set(stopTokens),
  });
}

/** Options without total lengths, which `lengths` has as numbers of new tokens. */
function withoutTotals<Options extends object>(options: Options): Omit<Options, 'maxLength' | 'minLength'> {
  const isTotal = (name: string) => (OPTION_TABLE as Readonly<Record<string, AnyRow>>)[name]?.isTotalLength;
  return Object.fromEntries(Object.entries(options).filter(([name]) => !isTotal(name))) as Options;
}

/** Throws ArgumentError for a token that the model does not have. */
export function checkAllTokens(settings: GenerationSettings, model: Generative): void {
  const { stopTokens, suppressTokens, beginSuppressTokens, badWordsIds, forcedBosTokenId, forcedEosTokenId } = settings;
  checkTokens('generate', 'a token of stopTokens', stopTokens, model);
  checkTokens('generate', 'a token of suppressTokens', suppressTokens, model);
  checkTokens('generate', 'a token of beginSuppressTokens', beginSuppressTokens, model);
  checkTokens('generate', 'a token of badWordsIds', badWordsIds.flat(), model);
  checkTokens('generate', 'forcedBosTokenId', forcedBosTokenId === null ? [] : [forcedBosTokenId], model);
  checkTokens('generate', 'forcedEosTokenId', forcedEosTokenId, model);
}

export function checkTokens(
  op: string,
  name: string,
  tokens: Iterable<number>,
  { vocabSize }: Pick<Generative, 'vocabSize'>,
): void {
  const isToken = (id: number) => isWhole(id) && id < vocabSize;
  for (const id of tokens) checkNumber(op, name, id, isToken, `a token below ${vocabSize}`);
}

/** Throws ArgumentError for numbers beyond the limits of the device, and for lengths that contradict each other. */
export function checkLimits({ numBeams, minNewTokens, maxNewTokens }: GenerationSettings, maxSequences: number): void {
  const beams = `an integer from 1 to ${maxSequences}`;
  checkNumber('generate', 'numBeams', numBeams, (n) => n <= maxSequences, beams);
  const min = `0 to maxNewTokens, ${maxNewTokens}`;
  checkNumber('generate', 'minNewTokens', minNewTokens, (n) => isWhole(n) && n <= maxNewTokens, min);
}

/**
 * Throws ArgumentError for options that exclude each other. `left` is the number of tokens that fit after the prompt.
 */
export function checkTogether(
  settings: GenerationSettings,
  options: GenerateOptions,
  model: Generative,
  left: number,
): void {
  const { numBeams, numReturnSequences, doSample } = settings;
  const { cropContext, outputAttentions, maxNewTokens } = settings;
  if (cropContext && model.maxSourceLength) refuseOptions('cropContext needs a decoder-only model');
  if (cropContext && outputAttentions && maxNewTokens > left)
    refuseOptions('outputAttentions needs outputs within maxLength');
  checkGroups(settings);
  if (numBeams > 1 && options.onToken) refuseOptions('onToken is given, but tokens of beams are final only at the end');
  if (numBeams > 1 && numReturnSequences > numBeams)
    refuseOptions(`numReturnSequences is ${numReturnSequences}, but there are only ${numBeams} beams`);
  if (numBeams === 1 && !doSample && numReturnSequences > 1)
    refuseOptions('numReturnSequences needs beams or doSample');
  const drawing = namesOf('sampling').filter((name) => !isNeutral(OPTION_TABLE[name], settings[name as never]));
  if (!doSample && drawing.length > 0) refuseOptions(`${drawing.join(', ')} needs doSample: true`);
}

/** Throws ArgumentError for groups of beams of unequal sizes, and for options that groups exclude. */
function checkGroups({ numBeams, numBeamGroups, diversityPenalty, doSample }: GenerationSettings): void {
  if (numBeams % numBeamGroups !== 0)
    refuseOptions(`numBeamGroups is ${numBeamGroups}, expected a divisor of numBeams, ${numBeams}`);
  if (numBeamGroups > 1 && doSample) refuseOptions('numBeamGroups above 1 needs doSample: false');
  if (numBeamGroups === 1 && diversityPenalty !== 0) refuseOptions('diversityPenalty needs numBeamGroups above 1');
}

/** Throws ArgumentError for options that `cache` and `draft` exclude. */
export function checkOneSequence(
  settings: GenerationSettings,
  { cache, cacheType }: GenerateOptions,
  inputs: number,
): void {
  const { numBeams, numReturnSequences, cropContext } = settings;
  const what = cache ? 'cache' : 'draft';
  if (numBeams > 1 || numReturnSequences > 1)
    refuseOptions(`${what} needs one sequence: numBeams 1 and numReturnSequences 1`);
  if (cropContext) refuseOptions(`${what} needs a context within maxLength: cropContext false`);
  if (cache && cacheType) refuseOptions('cache has a format of its own, expected no cacheType beside it');
  if (cache && inputs > 1) refuseOptions(`cache is of one text, but there are ${inputs} inputs`);
}
