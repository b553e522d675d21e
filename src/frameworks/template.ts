import type { PretrainedTokenizer } from '../tokenizers/index.js';

/** All chat templates of a tokenizer as one text, to look for the names of variables. */
export function templateOf({ chatTemplate }: PretrainedTokenizer): string {
  return typeof chatTemplate === 'string' ? chatTemplate : Object.values(chatTemplate ?? {}).join('\n');
}
