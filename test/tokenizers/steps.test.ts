// The ids, pieces and texts are those of Hugging Face's Rust `tokenizers`, from its npm package of version 0.23.2.
import { describe, expect, it } from 'vitest';
import { FormatError } from '../../src/core/errors.js';
import { parseTokenizer } from '../../src/tokenizers/index.js';

/** A `precompiled_charsmap`: the bytes of a double array (Darts-clone) with a block for each node, and the texts. */
function charsmap(entries: Record<string, string>): string {
  const encoder = new TextEncoder();
  const units = [0];
  let texts: number[] = [];
  let blocks = 0;
  const place = (at: number, keys: [number[], string][]) => {
    const base = 256 * ++blocks;
    units[at] = (units[at] as number) | ((at ^ base) << 10);
    for (const [[first], text] of keys) {
      if (first === undefined) {
        units[at] |= 0x100;
        units[base] = 0x80000000 + texts.length;
        texts = [...texts, ...encoder.encode(text), 0];
      } else if (units[base ^ first] === undefined) {
        units[base ^ first] = first;
        const after = keys
          .filter(([key]) => key[0] === first)
          .map(([key, text]): [number[], string] => [key.slice(1), text]);
        place(base ^ first, after);
      }
    }
  };
  place(
    0,
    Object.entries(entries).map(([key, text]) => [Array.from(encoder.encode(key)), text]),
  );
  const size = 1024 * (blocks + 1);
  const view = new DataView(new ArrayBuffer(4 + size));
  view.setUint32(0, size, true);
  for (const at in units) view.setUint32(4 + 4 * Number(at), units[at] as number, true); // most are not there
  return btoa(String.fromCharCode(...new Uint8Array(view.buffer), ...texts));
}

const map = charsmap({ A: 'a', 'e\u0301': 'é', ê: 'ê', '\u00ad': '' });

const plain = {
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: [],
  normalizer: null,
  pre_tokenizer: null,
  post_processor: null,
  decoder: null,
};
const wordLevel = (words: string[]) => {
  const vocab = Object.fromEntries(['<unk>', ...words].map((word, id) => [word, id]));
  return { type: 'WordLevel', vocab, unk_token: '<unk>' };
};
const split = (pattern: object, behavior: string, invert = false) => ({
  pre_tokenizer: { type: 'Split', pattern, behavior, invert },
});

const added = { id: 9, special: false, single_word: false, lstrip: false, rstrip: false, normalized: false };

// The file's parts, the vocabulary after <unk>, a text and its ids.
// biome-ignore format: one line each
const cases: [name: string, parts: object, words: string[], text: string, ids: number[]][] = [
  ['Whitespace', { pre_tokenizer: { type: 'Whitespace' } }, ['perché', 'no', '?', 'привет', '!'], 'perché no? привет!', [1, 2, 3, 4, 5]],
  ['WhitespaceSplit', { pre_tokenizer: { type: 'WhitespaceSplit' } }, ['a', 'b', '\ufeffa'], 'a\u0085b \ufeffa', [1, 2, 3]],
  ['BertPreTokenizer', { pre_tokenizer: { type: 'BertPreTokenizer' } }, ['a', 'b', '$', '\ufeffa'], 'a\u0085b$$ \ufeffa', [1, 2, 3, 3, 4]],
  ['Punctuation', { pre_tokenizer: { type: 'Punctuation' } }, ['a', 'b', '?', '!'], 'a?!b', [1, 3, 4, 2]],
  ['Punctuation, Removed', { pre_tokenizer: { type: 'Punctuation', behavior: 'Removed' } }, ['a', 'b'], 'a?!b', [1, 2]],
  ['Punctuation, MergedWithPrevious', { pre_tokenizer: { type: 'Punctuation', behavior: 'MergedWithPrevious' } }, ['a?', 'b', '!'], 'a?!b', [1, 3, 2]],
  ['Punctuation, MergedWithNext', { pre_tokenizer: { type: 'Punctuation', behavior: 'MergedWithNext' } }, ['a', '!b', '?'], 'a?!b', [1, 3, 2]],
  ['Digits', { pre_tokenizer: { type: 'Digits', individual_digits: true } }, ['a', '²', '1'], 'a²1a', [1, 2, 3, 1]],
  ['Digits together', { pre_tokenizer: { type: 'Digits', individual_digits: false } }, ['a', '1²'], 'a1²a', [1, 2, 1]],
  ['CharDelimiterSplit', { pre_tokenizer: { type: 'CharDelimiterSplit', delimiter: '-' } }, ['a', 'b'], 'a--b-a', [1, 2, 1]],
  ['FixedLength', { pre_tokenizer: { type: 'FixedLength', length: 2 } }, ['a😀', 'b'], 'a😀b', [1, 2]],
  ['ByteLevel', { pre_tokenizer: { type: 'ByteLevel', add_prefix_space: true, trim_offsets: true, use_regex: true } }, ['Ġa', 'ĠÂ', 'Âħ', '!', 'Ġï»¿!'], 'a\u0085! \ufeff!', [1, 3, 4, 5]],
  ['Metaspace', { pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true } }, ['▁a', '▁b', '▁'], 'a b  a', [1, 2, 3, 1]],
  ['Split of a string, Removed', { pre_tokenizer: { type: 'Split', pattern: { String: '.' }, behavior: 'Removed', invert: false } }, ['a', 'b', '.'], 'a.b.', [1, 2]],
  ['Split of two characters, Removed', { pre_tokenizer: { type: 'Split', pattern: { String: 'xx' }, behavior: 'Removed', invert: false } }, ['a', 'xb', 'b'], 'axxxb', [1, 2]],
  ['Split, Removed with a group', { pre_tokenizer: { type: 'Split', pattern: { Regex: '(x)|[(]' }, behavior: 'Removed', invert: false } }, ['a', 'x', 'b', '('], 'axb(a', [1, 3, 1]],
  ['Split, MergedWithPrevious', { pre_tokenizer: { type: 'Split', pattern: { Regex: 'x+' }, behavior: 'MergedWithPrevious', invert: false } }, ['axx', 'b'], 'axxb', [1, 2]],
  ['Split of a string, MergedWithPrevious', { pre_tokenizer: { type: 'Split', pattern: { String: ' ' }, behavior: 'MergedWithPrevious', invert: false } }, ['a ', ' ', 'b'], 'a  b', [1, 2, 3]],
  ['Split, MergedWithNext', { pre_tokenizer: { type: 'Split', pattern: { Regex: '\\s' }, behavior: 'MergedWithNext', invert: false } }, ['a', ' ', ' b'], 'a  b', [1, 2, 3]],
  ['Split, Contiguous', { pre_tokenizer: { type: 'Split', pattern: { Regex: '\\s' }, behavior: 'Contiguous', invert: false } }, ['a', '  ', 'b'], 'a  b', [1, 2, 3]],
  ['inverted Split, Isolated', { pre_tokenizer: { type: 'Split', pattern: { Regex: 'x' }, behavior: 'Isolated', invert: true } }, ['a', 'x', 'b'], 'axxb', [1, 2, 2, 3]],
  ['inverted Split, Contiguous', { pre_tokenizer: { type: 'Split', pattern: { Regex: 'x' }, behavior: 'Contiguous', invert: true } }, ['a', 'xx', 'b'], 'axxb', [1, 2, 3]],
  ['inverted Split, MergedWithPrevious', { pre_tokenizer: { type: 'Split', pattern: { Regex: 'x' }, behavior: 'MergedWithPrevious', invert: true } }, ['a', 'x', 'xb'], 'axxb', [1, 2, 3]],
  ['inverted Split, MergedWithNext', { pre_tokenizer: { type: 'Split', pattern: { Regex: 'x' }, behavior: 'MergedWithNext', invert: true } }, ['ax', 'x', 'b'], 'axxb', [1, 2, 3]],
  ['contractions with a long s', split({ Regex: "'(?i:[sdmt]|re)|\\p{L}+" }, 'Isolated'), ["'ſ", 't', "'s", "'RE"], "'ſt's'RE", [1, 2, 3, 4]],
  ['contractions with a long s, inverted', split({ Regex: "(?i:'s|'t)|\\p{L}+" }, 'Removed', true), ["'ſ", 't'], "'ſt!'ſ", [1, 2, 1]],
  ['Sequence', { pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'WhitespaceSplit' }, { type: 'Punctuation' }] } }, ['a', '.', 'é'], 'a.. é', [1, 2, 2, 3]],
  ['Lowercase', { normalizer: { type: 'Lowercase' } }, ['οδοσ'], 'ΟΔΟΣ', [1]],
  ['Strip', { normalizer: { type: 'Strip', strip_left: true, strip_right: true } }, ['\ufeffa'], '\u0085\ufeffa\u0085 ', [1]],
  ['Prepend', { normalizer: { type: 'Prepend', prepend: '$&' } }, ['$&a'], 'a', [1]],
  ['Prepend to nothing', { normalizer: { type: 'Sequence', normalizers: [{ type: 'Strip', strip_left: true, strip_right: true }, { type: 'Prepend', prepend: '▁' }] } }, ['▁'], ' ', []],
  ['BertProcessing by ids', { post_processor: { type: 'BertProcessing', cls: ['<s>', 1], sep: ['</s>', 2] } }, ['a', 'b', 'c'], 'c', [1, 3, 2]],
  ['Replace', { normalizer: { type: 'Replace', pattern: { String: '€' }, content: '$$' } }, ['$$1'], '€1', [1]],
  ['Nmt', { normalizer: { type: 'Nmt' } }, ['a b', 'ab'], 'a\u200bb', [1]],
  ['half a character, which is U+FFFD', { normalizer: { type: 'Nmt' } }, ['a b'], 'a\ud83db', [1]],
  ['ByteLevel normalizer', { normalizer: { type: 'ByteLevel' } }, ['Ã©Ġ'], 'é ', [1]],
  ['BertNormalizer', { normalizer: { type: 'BertNormalizer', clean_text: true, handle_chinese_chars: true, strip_accents: null, lowercase: true }, pre_tokenizer: { type: 'WhitespaceSplit' } }, ['𠀀', '𠀁', 'ασ'], '𠀀𠀁ΑΣ', [1, 2, 3]],
  ['marks, each with its own place', { normalizer: { type: 'NFD' }, pre_tokenizer: { type: 'FixedLength', length: 1 } }, ['e', '\u0301', '\u0323', '\u0302'], 'e\u0301\u0323\u0301\u0302\u0323\u0302e', [1, 3, 3, 2, 2, 4, 4, 1]],
  ['a Unigram model that lists a token twice', { added_tokens: [{ ...added, content: '<t>' }], model: { type: 'Unigram', unk_id: 0, vocab: [['<unk>', 0], ['a', -1], ['a', -2], ['b', -1]] } }, [], 'ab<t>', [2, 3, 4]],
  ['Precompiled', { normalizer: { type: 'Sequence', normalizers: [{ type: 'Precompiled', precompiled_charsmap: map }] } }, ['aéDêⅧ'], 'Ae\u0301D\u00adê\u0301Ⅷ', [1]],
  ['TemplateProcessing of two ids', { added_tokens: [{ id: 1, content: '<s>', special: true, single_word: false, lstrip: false, rstrip: false, normalized: false }], post_processor: { type: 'TemplateProcessing', single: [{ SpecialToken: { id: 'both', type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }], pair: [{ Sequence: { id: 'A', type_id: 0 } }, { Sequence: { id: 'B', type_id: 1 } }], special_tokens: { both: { id: 'both', ids: [1, 2], tokens: ['<s>', 'a'] } } } }, ['<s>', 'a'], 'a', [1, 2, 2]],
];

describe('parseTokenizer gives the ids of Hugging Face for', () => {
  it.each(cases)('%s', async (_, parts, words, text, ids) => {
    const json = { ...plain, model: wordLevel(words), ...parts };
    const tokenizer = await parseTokenizer(json);
    expect(tokenizer.encode(text, { addSpecial: true })).toEqual(ids);
    expect(tokenizer.toJSON()).toEqual(json);
  });

  const bytes = ['<0xC3>', '<0xA9>', '<0x78>'].map((token) => [token, -9]);
  const vocab = [['<unk>', 0], ['a', -1], ['b', -1], ...bytes]; // biome-ignore format: one line

  it('Unigram models with byte_fallback', async () => {
    const tokenizer = await parseTokenizer({
      ...plain,
      model: { type: 'Unigram', unk_id: 0, byte_fallback: true, vocab },
    });
    expect(tokenizer.encode('aéxb')).toEqual([1, 3, 4, 5, 2]);
    expect(tokenizer.encode('a😀b')).toEqual([1, 0, 2]);
  });

  it('the name of the unknown token of Unigram models', async () => {
    const vocab = [['<unk>', 0], ...Array.from('<unk>', (char) => [char, -1])]; // biome-ignore format: one line
    const tokenizer = await parseTokenizer({ ...plain, model: { type: 'Unigram', unk_id: 0, vocab } });
    expect(tokenizer.encode('u<unk>x')).toEqual([2, 0]);
  });

  it.each([
    ['BPE', { vocab: { a: 0, b: 1, ab: 2 }, merges: ['a b'] }, [2, 0]],
    [
      'WordPiece',
      {
        vocab: { a: 0, '##ba': 1, x: 2 },
        unk_token: 'x',
        continuing_subword_prefix: '##',
        max_input_chars_per_word: 9,
      },
      [0, 1],
    ],
    ['WordLevel', { vocab: { aba: 0, x: 1 }, unk_token: 'x' }, [0]],
    [
      'Unigram',
      {
        vocab: [
          ['a', -1],
          ['ba', -2],
          ['b', -3],
        ],
      },
      [0, 1],
    ],
  ])('%s models whose files do not name the type', async (_, model, ids) => {
    expect((await parseTokenizer({ ...plain, model })).encode('aba')).toEqual(ids);
  });

  it('a file with only a model', async () => {
    const tokenizer = await parseTokenizer({ model: wordLevel(['a']) });
    expect(tokenizer.encode('a', { addSpecial: true })).toEqual([1]);
    expect(tokenizer.decode([1, 1])).toBe('a a');
  });

  it('long pieces, which Unigram models split into many tokens', async () => {
    const tokenizer = await parseTokenizer({ ...plain, model: { type: 'Unigram', unk_id: 0, vocab } });
    expect(tokenizer.encode('ab'.repeat(100_000))).toHaveLength(200_000);
  });

  it('unknown text in several pieces', async () => {
    const pre_tokenizer = { type: 'Whitespace' };
    const tokenizer = await parseTokenizer({ ...plain, pre_tokenizer, model: { type: 'Unigram', unk_id: 0, vocab } });
    expect(tokenizer.encode('éé x! a')).toEqual([0, 0, 0, 1]);
  });

  it('a Metaspace before the first part between added tokens', async () => {
    const flags = { special: false, normalized: true, single_word: false, lstrip: false, rstrip: false };
    const tokenizer = await parseTokenizer({
      ...plain,
      normalizer: { type: 'Lowercase' },
      added_tokens: [{ id: 1, content: '<tool>', ...flags }],
      pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'first', split: false },
      model: wordLevel(['<tool>', '▁hi', 'hi']),
    });
    expect(tokenizer.encode('<tool>hi')).toEqual([1, 3]);
    expect(tokenizer.encode('hi<tool>hi')).toEqual([2, 1, 3]);
  });

  it('a word of many pieces and a character with many marks', async () => {
    const vocab = { '[UNK]': 0, a: 1, '##b': 2, e: 3, '##\u0301': 4, '##\u0323': 5 };
    const model = { type: 'WordPiece', unk_token: '[UNK]', continuing_subword_prefix: '##', vocab };
    const tokenizer = await parseTokenizer({
      ...plain,
      normalizer: { type: 'NFD' },
      model: { ...model, max_input_chars_per_word: 1 << 20 },
    });
    const many = 10_000;
    expect(tokenizer.encode(`a${'b'.repeat(many)}`)).toEqual([1, ...new Array(many).fill(2)]);
    const marks = [...new Array(many).fill(5), ...new Array(many).fill(4)];
    expect(tokenizer.encode(`e${'\u0301'.repeat(many)}${'\u0323'.repeat(many)}`)).toEqual([3, ...marks]);
  });

  it('long texts', async () => {
    // Segmenters take the more time for a character the longer the text is, and get it in pieces.
    const text = `${'e'.repeat(255)}\u0301A`.repeat(4);
    const normalizer = { type: 'Precompiled', precompiled_charsmap: map };
    const tokenizer = await parseTokenizer({
      ...plain,
      normalizer,
      model: wordLevel([`${'e'.repeat(254)}éa`.repeat(4)]),
    });
    expect(tokenizer.encode(text)).toEqual([1]);
  });

  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  const metaspace = { type: 'Metaspace', replacement: '▁', split: true };
  const ctc = { type: 'CTC', pad_token: '<pad>', word_delimiter_token: '|' };
  // biome-ignore format: one line each
  it.each<[object, string[], string]>([
    [{ type: 'Replace', pattern: { String: 'a' }, content: '$$' }, ['a'], '$$'],
    [{ ...metaspace, prepend_scheme: 'never' }, ['▁a'], ' a'],
    [{ ...metaspace, prepend_scheme: 'always' }, ['▁▁a', '▁b▁', ' '], 'a b  '],
    [{ ...metaspace, prepend_scheme: 'first' }, [' a', '▁b'], ' a b'],
    [{ type: 'ByteFallback' }, ['<0xEF>', '<0xBB>', '<0xBF>', 'a'], '\ufeffa'],
    [{ type: 'ByteFallback' }, ['<0x1g>', '<0xe9>', '<0xC3>', '<0xA9>', ' ', '<0xc3>', '<0xA9>'], '<0x1g>��� é'],
    [byteLevel, ['Ã', '©', 'x y', '中', 'Ġ'], 'éx y中 '],
    [{ type: 'Sequence', decoders: [byteLevel, { type: 'Fuse' }] }, ['ï»¿a', '▁'], '\ufeffa▁'],
    [{ type: 'WordPiece', prefix: '', cleanup: false }, ['a', 'b', ' .'], 'ab .'],
    [{ type: 'WordPiece', prefix: '##', cleanup: true }, ['i', ' do not', '##x', '.', "'s"], "i  don'tx.'s"],
    [{ ...ctc, cleanup: true }, ['|', 'a', 'a', '<pad>', 'a', '|', '|', 'b<pad>', ' .', '|'], ' aa b. '],
    [{ ...ctc, cleanup: false }, ['a', 'a', '|', ' .', '<pad>'], 'a| .'],
  ])('decoding by %o', async (decoder, tokens, text) => {
    const words = [...new Set(tokens)];
    const tokenizer = await parseTokenizer({ ...plain, decoder, model: wordLevel(words) });
    expect(tokenizer.decode(tokens.map((token) => 1 + words.indexOf(token)))).toBe(text);
  });
});

describe('parseTokenizer refuses', () => {
  const byteLevelStep = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true };
  const merging = { type: 'BPE', vocab: { a: 0, b: 1, ab: 2 } };
  const template = { type: 'TemplateProcessing', single: [{ SpecialToken: { id: 'x', type_id: 0 } }] };
  // biome-ignore format: one line each
  it.each<[string, object, string]>([
    ['another behavior', split({ Regex: 'x' }, 'Kept'), 'the behavior "Kept" in its pre_tokenizer'],
    [
      'ids that are none',
      { post_processor: { ...template, special_tokens: { x: { id: 'x', ids: [-7], tokens: ['x'] } } } },
      'gives the token "x" the id -7',
    ],
    ['tokens of a template that it does not name', { post_processor: template }, 'no ids for "x" of its template'],
    ['no merges', { model: { type: 'BPE', vocab: { a: 0 } } }, 'undefined for the merges of its BPE model'],
    ['models of no type', { model: { vocab: { a: 0 } } }, 'a model of no type, and neither merges nor an unk_token'],
    ['no step', { decoder: { type: 'Sequence', decoders: [null] } }, 'null among its decoders, expected an object'],
    [
      'prefixes that are not text',
      { model: { ...merging, merges: [], continuing_subword_prefix: {} } },
      '{} for continuing_subword_prefix, expected a string',
    ],
    ['flags that are none', { pre_tokenizer: { ...byteLevelStep, use_regex: 'no' } }, '"no" for use_regex, expected a boolean'],
    ['lengths that are none', { pre_tokenizer: { type: 'FixedLength', length: 1.5 } }, '1.5 for length, expected a whole number'],
    ['added tokens with other flags', { added_tokens: [{ id: 1, content: 'b', lstrip: 1 }] }, '1 for lstrip, expected a boolean'],
    ['unknown tokens that are not text', { model: { ...wordLevel(['a']), unk_token: {} } }, '{} for unk_token, expected a string'],
    ['nothing to put in', { normalizer: { type: 'Replace', pattern: { String: 'a' } } }, 'no content in a part of type "Replace"'],
    ['nothing to split at', { pre_tokenizer: { type: 'CharDelimiterSplit' } }, 'no delimiter in a part of type'],
    ['patterns that are none', split('x' as never, 'Removed'), '"x" for a pattern, expected a String or a Regex'],
    [
      'a merge of no token',
      { model: { ...merging, merges: [['a', 'c']] } },
      'the merge ["a","c"], expected two tokens',
    ],
    ['a merge that makes none', { model: { ...merging, merges: ['b a'] } }, 'the merge "b a", expected two tokens'],
    [
      'word pieces without a prefix',
      { model: { type: 'WordPiece', vocab: { a: 0 }, unk_token: 'a' } },
      'no continuing_subword_prefix in its WordPiece model',
    ],
    [
      'a second text where there is one',
      { post_processor: { ...template, single: [{ Sequence: { id: 'B', type_id: 0 } }] } },
      'a second text B in its template for a single one',
    ],
    ['scripts', { pre_tokenizer: { type: 'UnicodeScripts' } }, 'UnicodeScripts'],
    [
      'damaged maps',
      { normalizer: { type: 'Precompiled', precompiled_charsmap: btoa('damaged') } },
      'a damaged precompiled_charsmap',
    ],
  ])('%s', async (_, parts, message) => {
    const refused = parseTokenizer({ ...plain, model: wordLevel(['a']), ...parts });
    await expect(refused).rejects.toThrow(FormatError);
    await expect(refused).rejects.toThrow(message);
  });
});
