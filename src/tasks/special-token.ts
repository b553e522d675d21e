import { isObject } from '../core/check.js';
import type { PretrainedTokenizer } from '../tokenizers/huggingface.js';

/**
 * Returns a special token of a tokenizer: that of its configuration under `name`, or the first of `usual` that it has.
 * Undefined if there is none.
 */
export function specialToken(
  tokenizer: PretrainedTokenizer,
  name: string,
  usual: readonly string[],
): { readonly token: string; readonly id: number } | undefined {
  const configured = tokenizer.config?.[name];
  const named = isObject(configured) ? configured.content : configured;
  for (const token of typeof named === 'string' ? [named] : usual) {
    const id = tokenizer.tokenToId(token);
    if (id !== undefined) return { token, id };
  }
  return undefined;
}
