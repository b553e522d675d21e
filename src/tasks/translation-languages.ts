// Tokens for languages: __en__ of M2M100, eng_Latn of NLLB, en_XX of mBART.

import { ArgumentError } from '../core/errors.js';
import type { BatchEncoding } from '../tokenizers/batch-encoding.js';
import type { TaskContext } from './task.js';
import { tokenizerOf } from './text-inputs.js';

/** The languages of a model. */
export interface TranslationLanguages {
  /** Returns the token of a language. Throws ArgumentError for a language that the model does not have. */
  id(option: string, language: string): number;
  /** Returns the names of the languages. */
  known(): string[];
  /** Returns the ids of texts with the token of their language. `source`: that token; null: ids stay unchanged. */
  mark(encoding: Pick<BatchEncoding, 'inputIds' | 'specialTokensMask'>, source: number | null): number[][];
}

/** Patterns of language tokens, by model type. */
const patterns: Readonly<Record<string, RegExp>> = {
  m2m_100: /^(__[a-z]{2,3}__|[a-z]{3}_[A-Z][a-z]{3})$/,
  mbart: /^[a-z]{2}_[A-Z]{2}$/,
};

/** Returns the languages of a model; null for a model without such tokens. */
export function languagesOf(context: TaskContext): TranslationLanguages | null {
  const type = String(context.model.config.model_type);
  const pattern = Object.hasOwn(patterns, type) ? patterns[type] : undefined;
  if (pattern === undefined) return null;
  const tokenizer = tokenizerOf(context);
  const isLanguage = (id: number) => pattern.test(tokenizer.idToToken(id) ?? '');
  let ids: readonly number[] | undefined;
  const all = () => {
    ids ??= Array.from({ length: tokenizer.vocabSize }, (_, id) => id).filter(isLanguage);
    return ids;
  };
  if (all().length === 0) return null;
  const known = () => all().map((id) => (tokenizer.idToToken(id) as string).replace(/^__|__$/g, ''));
  const { config } = tokenizer as { config?: { tokenizer_class?: unknown } };
  const comesLast = String(config?.tokenizer_class).replace(/Fast$/, '') === 'MBartTokenizer';
  return {
    id(option, language) {
      const id = tokenizer.tokenToId(`__${language}__`) ?? tokenizer.tokenToId(language);
      if (id !== undefined && isLanguage(id)) return id;
      throw new ArgumentError(`translation: ${option} is ${language}, expected one of ${known().join(', ')}`);
    },
    known,
    mark({ inputIds, specialTokensMask }, source) {
      if (source === null) return inputIds;
      return inputIds.map((row, i) => {
        const isMark = (id: number, position: number) => specialTokensMask[i]?.[position] === 1 && isLanguage(id);
        if (row.some(isMark)) return row.map((id, position) => (isMark(id, position) ? source : id));
        return comesLast ? [...row, source] : [source, ...row]; // the tokenizer's template adds no language
      });
    },
  };
}
