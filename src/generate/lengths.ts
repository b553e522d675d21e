// Maximum and minimum lengths of outputs, given in new tokens or including the prompt.

import { checkNumber } from '../core/check.js';
import type { GenerateOptions } from './generate-options.js';
import type { Generative } from './generative.js';
import { DEFAULT_NEW_TOKENS } from './option-table.js';

/**
 * Limits of the output length. The longest prompt has `promptLength` tokens, and the model has room for `room` more.
 * Options of the call take precedence over the model's own settings, under either name. If one of them has both names,
 * `maxNewTokens` and `minNewTokens` take precedence, as in transformers. The model's own settings are reduced to fit
 * `room` and the options of the call, which are never changed.
 */
export function lengthsOf(
  { generationConfig: defaults = {} }: Pick<Generative, 'generationConfig'>,
  options: GenerateOptions,
  promptLength: number,
  room: number,
): { maxNewTokens: number; minNewTokens: number } {
  const { maxLength } = options;
  if (maxLength !== undefined) {
    const expected = `more than the longest prompt, ${promptLength}`;
    checkNumber('generate', 'maxLength', maxLength, (n) => n > promptLength, expected);
  }
  const after = (length: number | undefined) => (length === undefined ? undefined : Math.max(0, length - promptLength));
  const max = options.maxNewTokens ?? after(maxLength);
  const min = options.minNewTokens ?? after(options.minLength);
  const ownMax = defaults.maxNewTokens ?? after(defaults.maxLength) ?? DEFAULT_NEW_TOKENS;
  const ownMin = defaults.minNewTokens ?? after(defaults.minLength) ?? 0;
  const maxNewTokens = max ?? Math.max(1, Math.min(Math.max(ownMax, min ?? 0), room));
  return { maxNewTokens, minNewTokens: min ?? Math.min(ownMin, maxNewTokens) };
}
