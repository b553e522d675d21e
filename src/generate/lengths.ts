// How long outputs are, said in new tokens or in all that the decoder reads.

import { checkNumber, isCount, isWhole } from '../core/check.js';
import type { GenerateOptions } from './generate-options.js';
import type { Generative } from './generative.js';

/** New tokens where nobody says how many. */
const DEFAULT = 256;

/**
 * The lengths that options ask for, where the longest prompt has `promptLength` tokens and the model has room for `room`
 * more. Numbers of new tokens count more than lengths, also those of the model's own settings, as in transformers. What
 * these say gives way to what there is room for; options do not.
 */
export function lengthsOf(
  { generationConfig: own = {} }: Pick<Generative, 'generationConfig'>,
  options: GenerateOptions,
  promptLength: number,
  room: number,
): { maxNewTokens: number; minNewTokens: number } {
  for (const name of ['maxLength', 'minLength'] as const) {
    const accepts = name === 'maxLength' ? (n: number) => isCount(n) && n > promptLength : isWhole;
    const expected = name === 'maxLength' ? `more than the longest prompt, ${promptLength}` : 'an integer, 0 or more';
    if (options[name] !== undefined) checkNumber('generate', name, options[name], accepts, expected);
  }
  const after = (length: number | undefined) => (length === undefined ? undefined : Math.max(0, length - promptLength));
  const most = options.maxNewTokens ?? (own.maxNewTokens === undefined ? after(options.maxLength) : undefined);
  const ownMost = own.maxNewTokens ?? after(own.maxLength) ?? DEFAULT;
  const maxNewTokens = most ?? Math.max(1, Math.min(ownMost, room));
  const least = options.minNewTokens ?? (own.minNewTokens === undefined ? after(options.minLength) : undefined);
  const ownLeast = own.minNewTokens ?? after(own.minLength) ?? 0;
  return { maxNewTokens, minNewTokens: least ?? Math.min(ownLeast, maxNewTokens) };
}
