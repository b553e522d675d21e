import type { PretrainedTokenizer } from '../tokenizers/index.js';

/** Returns all chat templates of a tokenizer as one text, to search for names of variables. */
export function templateOf({ chatTemplate }: PretrainedTokenizer): string {
  return typeof chatTemplate === 'string' ? chatTemplate : Object.values(chatTemplate ?? {}).join('\n');
}
