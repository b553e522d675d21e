// The ids are those of Hugging Face's Rust `tokenizers`, from its npm package of version 0.23.2.
import { describe, expect, it } from 'vitest';
import { parseTokenizer } from '../../src/tokenizers/index.js';

const letters = ['<unk>', 'a', 'b', ' ', '\u0085', '\ufeff', '<', '>', '▁a'];
const first = letters.length;
const flags = { special: false, normalized: false, single_word: false, lstrip: false, rstrip: false };
const added = (...tokens: [content: string, set: object][]) => ({
  added_tokens: tokens.map(([content, set], at) => ({ id: first + at, content, ...flags, ...set })),
});
const load = (parts: object, config = {}) =>
  parseTokenizer(
    {
      version: '1.0',
      truncation: null,
      padding: null,
      normalizer: null,
      pre_tokenizer: { type: 'Split', pattern: { Regex: '[\\s\\S]' }, behavior: 'Isolated', invert: false },
      post_processor: null,
      decoder: null,
      model: {
        type: 'WordLevel',
        unk_token: '<unk>',
        vocab: Object.fromEntries(letters.map((letter, id) => [letter, id])),
      },
      ...parts,
    },
    config,
  );

const wordPieces = {
  type: 'WordPiece',
  unk_token: '<unk>',
  continuing_subword_prefix: '##',
  max_input_chars_per_word: 100,
  vocab: { '<unk>': 0, a: 1, '##a': 2, '##b': 3, b: 4, c: 5, d: 6, e: 7, f: 8 },
};
const unigram = {
  type: 'Unigram',
  unk_id: 0,
  byte_fallback: true,
  vocab: ['<unk>', '<0xC3>', '<0xA9>'].map((token) => [token, -1]),
};
const space = (content: string) => ({ type: 'Replace', pattern: { String: ' ' }, content });
const metaspace = { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true };

describe('added tokens', () => {
  // biome-ignore format: one line each
  it.each<[name: string, parts: object, text: string, ids: number[]]>([
    ['take the white space before them', added(['<t>', { lstrip: true }]), 'a\ufeff \u0085<t> b', [1, 5, 9, 3, 2]],
    ['take the white space after them', added(['<t>', { rstrip: true }]), 'a <t>\u0085 \ufeffb', [1, 3, 9, 5, 2]],
    ['leave that of another', added(['<s> ', {}], ['<t>', { lstrip: true }]), 'a<s>  <t>b', [1, 9, 10, 2]],
    ['are single words', added(['ab', { single_word: true }]), 'ab aba <ab> ab_ \u0301ab ab', [9, 3, 1, 2, 1, 3, 6, 9, 7, 3, 1, 2, 0, 3, 0, 1, 2, 3, 9]],
    ['are found in the text before those in normalized text', added(['b>', {}], ['<ab>', { normalized: true }]), '<ab>', [6, 1, 9]],
    ['are found in normalized text', { ...added(['AB', { normalized: true }]), normalizer: { type: 'Lowercase' } }, 'aAbABB', [1, 9, 9, 2]],
    ['are not tokens of the model', { ...added([' a', { normalized: true }]), normalizer: space('▁'), pre_tokenizer: metaspace }, 'a b', [8, 0]],
    ['are not words of the model', { ...added(['aab', { single_word: true }]), model: wordPieces, pre_tokenizer: { type: 'Split', pattern: { String: '<' }, behavior: 'Removed', invert: false } }, 'aabb<aab', [1, 2, 3, 3, 9]],
    ['are not what becomes like them', { ...added(['<a>', { special: true }]), normalizer: { type: 'Lowercase' }, pre_tokenizer: null }, '<A><a>', [0, 9]],
    ['are not bytes', { ...added(['é', { single_word: true }]), model: unigram }, 'éé', [1, 2, 1, 2]],
  ])('%s', async (_, parts, text, ids) => {
    expect((await load(parts)).encode(text)).toEqual(ids);
  });

  it('leave text unchanged, even if the config has settings for slow tokenizers', async () => {
    const config = { remove_space: true, do_lowercase_and_remove_accent: true };
    expect((await load({}, config)).encode(' a  b ')).toEqual([3, 1, 3, 3, 2, 3]);
  });
});
