// Makes the tokenizer of VITS and MMS-TTS from vocab.json. Its tokens are letters, with a blank before, between and
// after them.

import { FormatError } from '../core/errors.js';
import type { TokenizerConfig, TokenizerJson } from './json.js';

/**
 * Makes the tokenizer.json of a vocabulary of characters, as transformers' VitsTokenizer reads it. Letters are
 * converted to lower case unless the vocabulary has them. Other characters are omitted. `config` is
 * tokenizer_config.json. Returns null for a model that reads phonemes, which another program must make. Throws
 * FormatError if `vocab` is not an object of ids.
 */
export function vitsTokenizerJson(vocab: unknown, config: TokenizerConfig = {}): TokenizerJson | null {
  const isId = (id: unknown) => Number.isInteger(id) && (id as number) >= 0;
  if (typeof vocab !== 'object' || vocab === null || !Object.values(vocab).every(isId))
    throw new FormatError('vocab.json is not an object that maps tokens to ids');
  const settings = config as Readonly<Record<string, unknown>>;
  if (settings.phonemize !== false) return null;
  const ids = vocab as Readonly<Record<string, number>>;
  const characters = Object.keys(ids).filter((token) => [...token].length === 1);
  const blank = Object.keys(ids).find((token) => ids[token] === 0);
  if (blank === undefined) throw new FormatError('vocab.json has no token 0, which stands between letters');
  const known = characters.map((character) => character.replace(/[\\\]^-]/g, '\\$&')).join('');
  const isLower = characters.every((character) => character === character.toLowerCase());
  const lower = isLower
    ? [{ type: 'Lowercase' }]
    : [...'ABCDEFGHIJKLMNOPQRSTUVWXYZ']
        .filter((letter) => !characters.includes(letter))
        .map((letter) => ({ type: 'Replace', pattern: { String: letter }, content: letter.toLowerCase() }));
  const romanian = settings.language === 'ron' ? [{ type: 'Replace', pattern: { String: 'ț' }, content: 'ţ' }] : [];
  const isNormalized = settings.normalize !== false;
  const strip = [
    { type: 'Replace', pattern: { Regex: `[^${known}]` }, content: '' },
    { type: 'Strip', strip_left: true, strip_right: true },
  ];
  const normalizers = [
    ...(isNormalized ? lower : []),
    ...romanian,
    ...(isNormalized ? strip : []),
    ...(settings.add_blank === false ? [] : [{ type: 'Replace', pattern: { Regex: '(?=.)|(?<!^)$' }, content: blank }]),
  ];
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [],
    normalizer: { type: 'Sequence', normalizers },
    pre_tokenizer: { type: 'Split', pattern: { Regex: '[\\s\\S]' }, behavior: 'Isolated', invert: false },
    post_processor: null,
    decoder: null,
    model: { type: 'WordLevel', vocab: ids, unk_token: '<unk>' } as TokenizerJson['model'],
  } as TokenizerJson;
}
