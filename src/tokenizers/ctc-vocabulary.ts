// Makes the tokenizer of speech models that write letters (CTC), from vocab.json.

import { describeValue, isObject } from '../core/check.js';
import { FormatError } from '../core/errors.js';
import type { TokenizerConfig, TokenizerJson } from './json.js';

const SPECIAL = { pad_token: '<pad>', bos_token: '<s>', eos_token: '</s>', unk_token: '<unk>' } as const;

/** The vocabulary of a language, if there is one for each (MMS). Throws FormatError for an unknown language. */
function ofLanguage(vocab: unknown, language: unknown): unknown {
  if (!isObject(vocab) || Object.keys(vocab).length === 0 || !Object.values(vocab).every(isObject)) return vocab;
  if (typeof language === 'string' && Object.hasOwn(vocab, language)) return vocab[language];
  const names = Object.keys(vocab).join(', ');
  throw new FormatError(`vocab.json has languages, and target_lang is ${describeValue(language)}, expected ${names}`);
}

/**
 * Makes the tokenizer.json of a vocabulary of letters, as transformers' Wav2Vec2CTCTokenizer reads it. `config` is
 * tokenizer_config.json: its special tokens, and `word_delimiter_token` (default `|`), the letter between words. Throws
 * FormatError if `vocab` is not an object of ids, or lacks the unknown or the padding token.
 */
export function ctcTokenizerJson(vocab: unknown, config: TokenizerConfig = {}): TokenizerJson {
  const isId = (id: unknown) => Number.isInteger(id) && (id as number) >= 0;
  const vocabularyOfLanguage = ofLanguage(vocab, config.target_lang);
  if (!isObject(vocabularyOfLanguage) || !Object.values(vocabularyOfLanguage).every(isId))
    throw new FormatError('vocab.json is not an object that maps tokens to ids');
  const ids = vocabularyOfLanguage as Readonly<Record<string, number>>;
  const named = (name: keyof typeof SPECIAL): string => {
    const token = config[name] ?? SPECIAL[name];
    return typeof token === 'string' ? token : String((token as { content?: unknown }).content);
  };
  const [pad, unknown] = [named('pad_token'), named('unk_token')];
  const missing = [pad, unknown].find((token) => !Object.hasOwn(ids, token));
  if (missing !== undefined) throw new FormatError(`vocab.json has no ${missing}, which tokenizer_config.json names`);
  const special = Object.keys(SPECIAL).map((name) => named(name as keyof typeof SPECIAL));
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const delimiter = String(config.word_delimiter_token ?? '|');
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [...new Set(special)]
      .filter((content) => Object.hasOwn(ids, content))
      .map((content) => ({ id: ids[content] as number, content, ...flags })),
    normalizer: { type: 'Replace', pattern: { String: ' ' }, content: delimiter },
    pre_tokenizer: { type: 'Split', pattern: { Regex: '[\\s\\S]' }, behavior: 'Isolated', invert: false },
    post_processor: null,
    decoder: { type: 'CTC', pad_token: pad, word_delimiter_token: delimiter, cleanup: true },
    model: { type: 'WordLevel', vocab: ids, unk_token: unknown } as TokenizerJson['model'],
  };
}
