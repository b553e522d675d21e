// Converts the options of a call and its inputs into a plan.

import { checkNumber } from '../core/check.js';
import { maxCacheRows } from '../ops/kv-cache.js';
import { maxTopK } from '../ops/top-k.js';
import type { GenerateOptions } from './generate-options.js';
import type { Generative } from './generative.js';
import { lengthsOf } from './lengths.js';
import type { GenerationSettings, Plan, Source } from './plan.js';
import { longest, prefixesOf, promptsOf } from './prompts.js';
import {
  checkAllTokens,
  checkKinds,
  checkLimits,
  checkOneSequence,
  checkTogether,
  checkTokens,
  refuseOptions,
  settingsOf,
} from './settings.js';

/**
 * Checks options, and plans the generation for `inputs`: sources, or prompts of a decoder-only model. `sourceShape` is
 * the shape of sources that are features. Throws ArgumentError.
 */
export function resolveOptions(
  model: Generative,
  inputs: readonly Source[],
  options: GenerateOptions,
  sourceShape: readonly number[] | null = null,
): Plan {
  checkKinds(options);
  const { cache } = options;
  const maxLength = Math.min(model.maxLength, cache?.maxLength ?? model.maxLength);
  const prompts = promptsOf(model, inputs, options.decoderStartTokenId ?? model.startId);
  const promptLength = longest(prompts);
  const left = maxLength - promptLength + 1;
  const room = options.cropContext ? Number.MAX_SAFE_INTEGER : left;
  if (room < 1)
    refuseOptions(`a prompt has ${promptLength} tokens, more than the model's maxLength, ${maxLength}: shorten it`);
  const settings = settingsOf(model, options, lengthsOf(model, options, promptLength, room));
  checkLengths(model, settings, { maxLength, room });
  const maxSequences = maxCacheRows(model.device);
  checkLimits(settings, maxSequences);
  checkAllTokens(settings, model);
  checkTogether(settings, options, model, left);
  if (cache || options.draft) checkOneSequence(settings, options, inputs.length);
  const prefixes = prefixesOf(options.prefix, inputs.length);
  checkPrefixes(model, prefixes, settings);
  return {
    inputs: inputs.map((tokens, index) => ({
      index,
      tokens,
      prompt: prompts[index] as readonly number[],
      prefix: prefixes[index] as readonly number[],
    })),
    sourceShape,
    ...widthsOf(model, settings),
    vocabulary: model.vocabSize,
    maxRanked: maxTopK(model.device),
    maxSequences,
    ...settings,
    cacheType: options.cacheType ?? model.cacheType ?? 'float32',
    ...(options.draft ? { batchSize: 1 } : {}),
  };
}

/** Throws ArgumentError if `maxNewTokens` exceeds the room after the longest prompt. */
function checkLengths(
  { maxSourceLength = 0 }: Generative,
  { maxNewTokens }: GenerationSettings,
  { maxLength, room }: { readonly maxLength: number; readonly room: number },
): void {
  const further = maxSourceLength > 0 ? '' : '; cropContext: true goes on beyond it';
  const expected = `at most ${room}: the model's maxLength is ${maxLength}${further}`;
  checkNumber('generate', 'maxNewTokens', maxNewTokens, (n) => n <= room, expected);
}

/** Throws ArgumentError for unknown tokens in prefixes, and for prefixes that are longer than an answer. */
function checkPrefixes(
  model: Generative,
  prefixes: readonly (readonly number[])[],
  { maxNewTokens }: GenerationSettings,
): void {
  checkTokens('generate', 'a token of prefix', prefixes.flat(), model);
  const forced = longest(prefixes);
  if (forced > maxNewTokens) refuseOptions(`prefix has ${forced} tokens, but maxNewTokens is ${maxNewTokens}`);
}

/** The numbers of sequences that an input has in the batch, and that leave the batch together. */
function widthsOf(
  { maxSourceLength = 0 }: Generative,
  { numBeams, numReturnSequences }: GenerationSettings,
): Pick<Plan, 'sequencesPerInput' | 'rowsTogether'> {
  const sequencesPerInput = numBeams > 1 ? numBeams : numReturnSequences;
  return { sequencesPerInput, rowsTogether: maxSourceLength > 0 || numBeams > 1 ? sequencesPerInput : 1 };
}
