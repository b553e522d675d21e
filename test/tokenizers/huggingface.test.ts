import { describe, expect, it } from 'vitest';
import { ArgumentError, FormatError } from '../../src/core/errors.js';
import {
  BpeTokenizer,
  CharTokenizer,
  parseTokenizer,
  type TokenizerJson,
  UnknownTokenError,
  WordTokenizer,
} from '../../src/tokenizers/index.js';

const parsed = (tokenizer: { toJSON(): TokenizerJson }): TokenizerJson => JSON.parse(JSON.stringify(tokenizer));

const special = { bos: '<s>', eos: '</s>' };
const letters = parsed(CharTokenizer.train('abc', { special }));
const withModel = (model: object) => ({ ...letters, model: { ...letters.model, ...model } });
const withProcessor = (post_processor: unknown) => ({ ...letters, post_processor });
const template = letters.post_processor as { single: object[]; pair: object[] };

/** The position that the error of encoding a text says. */
function positionIn(encode: () => unknown): number | undefined {
  try {
    encode();
  } catch (error) {
    if (error instanceof UnknownTokenError) return error.position;
  }
  throw new Error('there was no UnknownTokenError');
}

describe('parseTokenizer', () => {
  it.each([
    [
      'the template of a sequence, as Llama 3 has it',
      { type: 'Sequence', processors: [{ type: 'ByteLevel' }, template] },
    ],
    ['RobertaProcessing', { type: 'RobertaProcessing', cls: ['<s>', 0], sep: ['</s>', 1], trim_offsets: true }],
    ['BertProcessing', { type: 'BertProcessing', cls: ['<s>', 0], sep: ['</s>', 1] }],
  ])('finds begin and end in %s', async (_, post_processor) => {
    const tokenizer = await parseTokenizer(withProcessor(post_processor));
    expect([tokenizer.bosId, tokenizer.eosId]).toEqual([0, 1]);
    expect(tokenizer.encode('ab', { addSpecial: true })).toEqual([0, 2, 3, 1]);
  });

  it('finds no begin or end in a template without text', async () => {
    const { bosId, eosId } = await parseTokenizer(withProcessor({ ...template, single: template.single.slice(0, 1) }));
    expect([bosId, eosId]).toEqual([undefined, undefined]);
  });

  it('pads XLNet on the left, although its files do not say so', async () => {
    const piece = (id: string, type_id: number) => ({ SpecialToken: { id, type_id } });
    const single = [{ Sequence: { id: 'A', type_id: 0 } }, piece('<sep>', 0), piece('<cls>', 2)];
    const special_tokens = Object.fromEntries(
      ['<sep>', '<cls>'].map((id, i) => [id, { id, ids: [i + 1], tokens: [id] }]),
    );
    const vocab = [['<pad>', 0], ['<sep>', 0], ['<cls>', 0], ['a', -1], ['b', -2]]; // biome-ignore format: one line
    const added_tokens = ['<pad>', '<sep>', '<cls>'].map((content, id) => ({
      ...letters.added_tokens[0],
      id,
      content,
    }));
    const json = {
      ...letters,
      added_tokens,
      model: { type: 'Unigram', vocab, unk_id: null },
      post_processor: { type: 'TemplateProcessing', single, pair: single, special_tokens },
    };
    const tokenizer = await parseTokenizer(json, { tokenizer_class: 'XLNetTokenizer', pad_token: '<pad>' });
    const { inputIds, attentionMask, tokenTypeIds } = tokenizer.encodeBatch(['ab', 'a'], { padding: true });
    expect(inputIds).toEqual([[3, 4, 1, 2], [0, 3, 1, 2]]); // biome-ignore format: rows
    expect(attentionMask).toEqual([[1, 1, 1, 1], [0, 1, 1, 1]]); // biome-ignore format: rows
    expect(tokenTypeIds).toEqual([[0, 0, 0, 2], [3, 0, 0, 2]]); // biome-ignore format: rows
  });

  it('finds the unknown token of Unigram models', async () => {
    const vocab = [['a', -1], ['<unk>', 0], ['b', -2]]; // biome-ignore format: one line
    const load = (unk_id: number | null) =>
      parseTokenizer({ ...letters, added_tokens: [], post_processor: null, model: { type: 'Unigram', vocab, unk_id } });
    const tokenizer = await load(1);
    expect(tokenizer.unkId).toBe(1);
    expect(tokenizer.encode('abx')).toEqual([0, 2, 1]);
    const without = await load(null);
    expect(without.unkId).toBeUndefined();
    expect(() => without.encode('abx')).toThrow(UnknownTokenError);
  });

  it('keeps its config, and refuses invalid ones', async () => {
    const config = { pad_token: 'a' };
    expect((await parseTokenizer(letters, config)).config).toEqual(config);
    expect((await parseTokenizer(letters)).config).toBeUndefined();
    await expect(parseTokenizer(letters, 'config' as never)).rejects.toThrow(ArgumentError);
  });

  it('gives the position of unknown text, also after normalization', async () => {
    const words = WordTokenizer.train('this was it', { special });
    const json = parsed(words);
    const loaded = await parseTokenizer(json);
    for (const text of ['this is', 'it this\u0085 \nwas is', '👩', '<s> this</s>is', 'this it th', 'this this thi']) {
      for (const addSpecial of [false, true]) {
        const expected = positionIn(() => words.encode(text, { addSpecial }));
        expect(positionIn(() => loaded.encode(text, { addSpecial }))).toBe(expected);
      }
    }
    const lower = await parseTokenizer({ ...json, normalizer: { type: 'Lowercase' } });
    expect(positionIn(() => lower.encode('This İS is'))).toBe(5);
    expect(positionIn(() => lower.encode('this is'))).toBe(5);
  });

  it('omits no text that byte pairs cannot encode', async () => {
    const vocab = { a: 0, b: 1, ab: 2, '👩': 3 };
    const json = (model: object) => ({
      ...letters,
      added_tokens: [],
      post_processor: null,
      pre_tokenizer: null,
      decoder: { type: 'Fuse' },
      model: { type: 'BPE', vocab, merges: [['a', 'b']], ...model },
    });
    const without = await parseTokenizer(json({}));
    expect(without.encode('ab👩b')).toEqual([2, 3, 1]);
    expect(without.decode([2, 3, 1])).toBe('ab👩b');
    expect(without.unkId).toBeUndefined();
    expect(() => without.encode('ab👩xab')).toThrow('"x" at position 3 is not in the vocabulary');
    expect(positionIn(() => without.encode('ab👩xab', { addSpecial: true }))).toBe(3);
    expect(without.toJSON()).toEqual(json({}));
    const lower = await parseTokenizer({ ...json({ unk_token: null }), normalizer: { type: 'Lowercase' } });
    expect(lower.encode('ABa')).toEqual([2, 0]);
    expect(positionIn(() => lower.encode('ABX'))).toBe(2);
    const unknown = await parseTokenizer(json({ vocab: { ...vocab, '<unk>': 4 }, unk_token: '<unk>' }));
    expect(unknown.encode('abxb')).toEqual([2, 4, 1]);
  });

  it('reads a file without added_tokens', async () => {
    const { added_tokens: _, ...json } = parsed(CharTokenizer.train('abc'));
    const tokenizer = await parseTokenizer(json);
    expect(tokenizer.encode('cab')).toEqual([2, 0, 1]);
    expect(tokenizer.toJSON().added_tokens).toEqual([]);
  });

  const { single } = template;
  it.each<[string, object, string]>([
    ...['x', -1, 1.5, {}, null, 2 ** 31, 2 ** 40].map((id): [string, object, string] => [
      `the id ${JSON.stringify(id)}`,
      withModel({ vocab: { a: id } }),
      `the token "a" the id ${JSON.stringify(id)}, expected an integer from 0 to 2147483647`,
    ]),
    ['an added token of id -1', { ...letters, added_tokens: [{ content: 'z', id: -1 }] }, 'the token "z" the id -1'],
    ['an added token that is null', { ...letters, added_tokens: [null] }, 'null among its added_tokens'],
    ['added tokens that are not a list', { ...letters, added_tokens: null }, 'null for added_tokens'],
    ['a model of another type', withModel({ type: 'Foo' }), 'a model of type "Foo", expected one of BPE, Unigram'],
    ['a list of words', withModel({ vocab: [['a', 0]] }), 'a list for the vocabulary of its WordLevel model'],
    ['scores by token', withModel({ type: 'Unigram' }), 'an object for the vocabulary of its Unigram model'],
    ['no score', withModel({ type: 'Unigram', vocab: [['a']] }), '["a"] in its vocabulary'],
    ['an unk_id too large', withModel({ type: 'Unigram', vocab: [['a', 0]], unk_id: 1 }), 'the unk_id 1'],
    ['an odd piece', withProcessor({ ...template, single: [...single, { Foo: 1 }] }), '{"Foo":1} in a template'],
    ['an odd piece of a pair', withProcessor({ ...template, pair: [{ Foo: 1 }] }), '{"Foo":1} in a template'],
    [
      'an odd piece in a sequence',
      withProcessor({ type: 'Sequence', processors: [{ ...template, single: [{ Foo: 1 }] }] }),
      '{"Foo":1} in a template',
    ],
    ['a third text', withProcessor({ ...template, single: [{ Sequence: { id: 'C' } }] }), '"C"}} in a template'],
    ['no template', withProcessor({ ...template, single: '$A' }), '"$A" for a template, expected a list'],
    ['a sep without id', withProcessor({ type: 'BertProcessing', cls: ['<s>', 0], sep: '</s>' }), '"</s>" in its Bert'],
    ['a sequence of nothing', withProcessor({ type: 'Sequence' }), 'a sequence of post-processors that is not a list'],
  ])('refuses %s', async (_, json, message) => {
    const refused = parseTokenizer(json);
    await expect(refused).rejects.toThrow(FormatError);
    await expect(refused).rejects.toThrow(message);
    expect(() => CharTokenizer.fromJSON(json)).toThrow(FormatError);
  });
});

describe('a saved BpeTokenizer', () => {
  // White space to Unicode is U+0085, and not U+FEFF; in JavaScript's \s it is the other way round.
  const corpus = ['\ufeff!', '\u0085!', ' low lower', "it's\n\n 12"].flatMap((text) => [text, text]);
  const tokenizer = BpeTokenizer.train(corpus, { vocabSize: 300, special });

  it("splits at Unicode's white space in every reader", async () => {
    expect(tokenizer.encode('\ufeff!')).toHaveLength(1);
    expect(tokenizer.encode('\u0085!')).toHaveLength(2);
    const json = parsed(tokenizer);
    // A regular expression of its own is read alike everywhere; the one that use_regex stands for is not.
    expect(JSON.stringify(json)).not.toContain('"use_regex":true');
    expect(json.pre_tokenizer).toMatchObject({
      type: 'Sequence',
      pretokenizers: [{ type: 'Split' }, { type: 'ByteLevel' }],
    });
    const loaded = await parseTokenizer(json);
    for (const text of [...corpus, 'a \u0085\u0085 b', ' \ufeff\ufeff x', 'x\u3000\u00a0 \r\n']) {
      expect(loaded.encode(text)).toEqual(tokenizer.encode(text));
    }
  });

  it('is read in the form of earlier versions', async () => {
    const gpt2 = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
    const older = { ...parsed(tokenizer), pre_tokenizer: gpt2, decoder: gpt2 };
    const restored = BpeTokenizer.fromJSON(older);
    expect(restored.toJSON()).toEqual(tokenizer.toJSON());
    const loaded = await parseTokenizer(older);
    for (const text of [' low lower', "it's\n\n 12 <s>lowest"]) {
      for (const reader of [restored, loaded]) {
        expect(reader.encode(text, { addSpecial: true })).toEqual(tokenizer.encode(text, { addSpecial: true }));
      }
    }
    const prefixed = { ...gpt2, add_prefix_space: true };
    expect(() => BpeTokenizer.fromJSON({ ...older, pre_tokenizer: prefixed })).toThrow(FormatError);
  });
});

it.each(['models/bert/tokenizer.json', './tokenizer.json', 'https://example.org/tokenizer.json', ''])(
  'a path or a URL, %j, instead of what lies there is refused with what to do',
  async (path) => {
    const given = parseTokenizer(path);
    await expect(given).rejects.toThrow(ArgumentError);
    await expect(given).rejects.toThrow(
      /^parseTokenizer: json is ".*", expected the text of a tokenizer.json: .*use loadTokenizer/,
    );
  },
);

it.each([undefined, null, 3, []])('%j instead of a tokenizer.json is refused', async (json) => {
  await expect(parseTokenizer(json as never)).rejects.toThrow(/^parseTokenizer: json is .*, expected the text/);
});

it('decodes batches, with or without special tokens, and cleans up on request', async () => {
  const special = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const tokenizer = await parseTokenizer({
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: [{ id: 0, content: '<s>', ...special }],
    normalizer: null,
    pre_tokenizer: { type: 'Whitespace' },
    post_processor: null,
    decoder: null,
    model: { type: 'WordLevel', vocab: { '<s>': 0, yes: 1, ',': 2, no: 3, '.': 4 }, unk_token: '<s>' },
  });
  const batch = [[0, 1, 2, 3, 4], [], [3, 4]];
  expect(tokenizer.batchDecode(batch)).toEqual(['yes , no .', '', 'no .']);
  expect(tokenizer.batchDecode(batch, { cleanUp: true })).toEqual(['yes, no.', '', 'no.']);
  expect(tokenizer.batchDecode(batch, { skipSpecial: false })).toEqual(['<s> yes , no .', '', 'no .']);
  expect(() => tokenizer.batchDecode([[9]])).toThrow(/ids contains 9, expected/);
  expect(() => tokenizer.batchDecode(3 as never)).toThrow(/expected rows of ids/);
});
