import { describe, expect, it } from 'vitest';
import { ArgumentError, FormatError } from '../../src/core/errors.js';
import {
  BpeTokenizer,
  ByteTokenizer,
  CharTokenizer,
  type Merge,
  parseTokenizer,
  UnknownTokenError,
  WordTokenizer,
} from '../../src/tokenizers/index.js';
import { testData } from '../test-data.js';

const special = { pad: '<pad>', bos: '<s>', eos: '</s>' };

const texts = [
  'low lower lowest, newer and wider',
  "We've 1234 things; don't they'll  \t know?\n\nEnd ",
  'naïve café Ж 中文字 👩‍🚀🇩🇪 𝒳𝓎 \u00a0\u2009x',
  '<s>quoted</s> <pad><mask> a<b',
  '   leading and trailing   ',
  'aaaaaaaaaaaaaaaa abababababab',
  '\u0000\u0007\ufeff\ufffd',
];

describe('CharTokenizer', () => {
  it('has one token per code point, the most frequent first', () => {
    const tokenizer = CharTokenizer.train('banana 👩👩', { special });
    const vocabulary = ['<pad>', '<s>', '</s>', 'a', 'n', '👩', ' ', 'b'];
    expect(Array.from({ length: tokenizer.vocabSize }, (_, id) => tokenizer.idToToken(id))).toEqual(vocabulary);
    expect(tokenizer.encode('ban👩')).toEqual([7, 3, 4, 5]);
    expect(tokenizer.encode('a', { addSpecial: true })).toEqual([1, 3, 2]);
    expect(tokenizer.decode([1, 3, 5, 2])).toBe('a👩');
    expect(tokenizer.decode([1, 3, 5, 2], { skipSpecial: false })).toBe('<s>a👩</s>');
    expect([tokenizer.padId, tokenizer.bosId, tokenizer.eosId, tokenizer.unkId]).toEqual([0, 1, 2, undefined]);
  });

  it('names an unknown character and its position in code points', () => {
    const tokenizer = CharTokenizer.train('ab👩', { special });
    const encode = () => tokenizer.encode('a👩<s>bxa');
    expect(encode).toThrow(UnknownTokenError);
    expect(encode).toThrow('"x" at position 6');
    try {
      encode();
    } catch (error) {
      expect(error).toMatchObject({ token: 'x', position: 6 });
    }
  });

  it('uses unk if there is one', () => {
    const tokenizer = CharTokenizer.train('ab', { special: { unk: '?' } });
    expect(tokenizer.encode('axb')).toEqual([1, 0, 2]);
  });

  it('limits the vocabulary', () => {
    expect(CharTokenizer.train('aabbc', { vocabSize: 2 }).vocabSize).toBe(2);
    expect(CharTokenizer.train('aabbc', { minFrequency: 2 }).tokenToId('c')).toBeUndefined();
    expect(() => CharTokenizer.train('a', { special, vocabSize: 3 })).toThrow(ArgumentError);
  });

  it('refuses an empty vocabulary', () => {
    expect(() => new CharTokenizer([])).toThrow('CharTokenizer: the vocabulary is empty');
    for (const options of [{}, { special }]) {
      expect(() => CharTokenizer.train('aabc', { ...options, minFrequency: 3 })).toThrow(
        'CharTokenizer: minFrequency is 3, but no token occurs more than 2 times: lower it or give more text',
      );
    }
  });
});

describe('WordTokenizer', () => {
  it('splits at white space or punctuation', () => {
    const text = "Don't stop, 中文 naïve!";
    const byPunctuation = WordTokenizer.train(text);
    expect(byPunctuation.encode(text).map((id) => byPunctuation.idToToken(id))).toEqual(
      ['Don', "'", 't', 'stop', ',', '中文', 'naïve', '!'], // biome-ignore format: one line
    );
    const byWhitespace = WordTokenizer.train(text, { split: 'whitespace' });
    expect(byWhitespace.decode(byWhitespace.encode(` ${text}\n`))).toBe(text);
  });

  it('refuse unknown options', () => {
    const wrong: [string, () => unknown][] = [
      ['additional is "<x>", expected an array', () => new ByteTokenizer({ additional: '<x>' as never })],
      ['special tokens: pad is 3n, expected text', () => new ByteTokenizer({ pad: 3n as never })],
      ['special tokens: there is no option mask', () => new ByteTokenizer({ mask: '<mask>' } as never)],
      ['no option min_frequency', () => BpeTokenizer.train('ab', { vocabSize: 300, min_frequency: 2 } as never)],
      ['no option split', () => CharTokenizer.train('ab', { split: 'whitespace' } as never)],
      ['no option size', () => WordTokenizer.train('ab', { size: 4 } as never)],
      ['encode: there is no option add', () => new ByteTokenizer().encode('a', { add: true } as never)],
      ['decode: there is no option skip', () => new ByteTokenizer().decode([1], { skip: true } as never)],
    ];
    for (const [message, call] of wrong) {
      expect(call).toThrow(ArgumentError);
      expect(call).toThrow(message);
    }
  });

  it('accepts a list of words', () => {
    const tokenizer = new WordTokenizer(['</s>', 'HH', 'AH0', 'L', 'OW1'], { eos: '</s>' }, 'whitespace');
    expect(tokenizer.encode('HH AH0 L OW1', { addSpecial: true })).toEqual([1, 2, 3, 4, 0]);
    expect(() => tokenizer.encode('HH XX')).toThrow('"XX" at position 3');
    expect(() => new WordTokenizer(['a', 'a'])).toThrow('WordTokenizer: "a" is in the vocabulary twice');
    expect(() => new WordTokenizer(['a'], { eos: '</s>' })).toThrow('special token "</s>" is not in the vocabulary');
    for (const eos of ['', 5 as never]) {
      const message = `special tokens: eos is ${JSON.stringify(eos)}, expected text`;
      expect(() => new WordTokenizer(['a'], { eos })).toThrow(message);
    }
    expect(() => new WordTokenizer(['a'], {}, 'letters' as never)).toThrow(ArgumentError);
  });

  it('does not confuse a word with the unknown token', async () => {
    const tokenizer = WordTokenizer.train('the <unk> <<unk>> sat', { split: 'whitespace' });
    const json = JSON.parse(JSON.stringify(tokenizer));
    for (const restored of [tokenizer, WordTokenizer.fromJSON(json), await parseTokenizer(json)]) {
      expect(restored.unkId).toBeUndefined();
      expect(restored.encode('<unk> sat')).toEqual(tokenizer.encode('<unk> sat'));
      expect(() => restored.encode('the zebra')).toThrow('"zebra" at position 4');
    }
  });

  it('refuses a corpus of white space', () => {
    expect(() => WordTokenizer.train(' \n', { special })).toThrow('the corpus has only white space');
  });
});

describe('ByteTokenizer', () => {
  it('encodes every text as its UTF-8 bytes, after the special tokens', () => {
    const tokenizer = new ByteTokenizer(special);
    expect(tokenizer.vocabSize).toBe(259);
    expect(tokenizer.encode('aé')).toEqual([3 + 0x61, 3 + 0xc3, 3 + 0xa9]);
    for (const text of texts) expect(tokenizer.decode(tokenizer.encode(text), { skipSpecial: false })).toBe(text);
  });

  it('replaces invalid UTF-8', () => {
    expect(new ByteTokenizer().decode([0x61, 0xc3, 0x62])).toBe('a\ufffdb');
  });
});

describe('BpeTokenizer', () => {
  it('learns the textbook merges', () => {
    // "low" 5 times, "lower" twice, "newest" 6 times, "widest" 3 times (Sennrich et al.), one word a text.
    const corpus = [
      ...Array(5).fill('low'),
      ...Array(2).fill('lower'),
      ...Array(6).fill('newest'),
      ...Array(3).fill('widest'),
    ];
    const tokenizer = BpeTokenizer.train(corpus as string[], { vocabSize: 256 + 4 });
    expect([256, 257, 258, 259].map((id) => tokenizer.idToToken(id))).toEqual(['es', 'est', 'lo', 'low']);
    expect(tokenizer.encode('lowest').map((id) => tokenizer.idToToken(id))).toEqual(['low', 'est']);
  });

  it('agrees with merging by exhaustive recounting', () => {
    const corpus = 'she sells sea shells, the shells she sells are sea-shells aaaa aaaaa banana bananas '.repeat(3);
    const words = corpus.match(/ ?\p{L}+| ?[^\s\p{L}]+|\s+(?!\S)|\s+/gu) as string[];
    const tokenizer = BpeTokenizer.train(corpus, { vocabSize: 256 + 60 });
    const { merges = [] } = tokenizer.toJSON().model as { merges?: readonly Merge[] | undefined };
    expect(merges).toEqual(slowMerges(words, merges.length));
    expect(new Set(merges.map(([a, b]) => a + b)).size).toBe(tokenizer.vocabSize - 256);
  });

  it('stops at the minimum frequency', () => {
    expect(BpeTokenizer.train('ab ab cd', { vocabSize: 1000, minFrequency: 3 }).vocabSize).toBe(256);
    expect(BpeTokenizer.train('ab ab cd', { vocabSize: 1000 }).tokenToId('Ġcd')).toBeUndefined();
    expect(BpeTokenizer.train('ab ab cd', { vocabSize: 1000, minFrequency: 1 }).tokenToId('Ġcd')).toBeDefined();
  });

  it('restores every text', () => {
    const tokenizer = BpeTokenizer.train(texts, { vocabSize: 400, special });
    for (const text of texts) expect(tokenizer.decode(tokenizer.encode(text), { skipSpecial: false })).toBe(text);
  });

  it('refuses invalid arguments', () => {
    expect(() => BpeTokenizer.train('ab', { vocabSize: 255 })).toThrow(ArgumentError);
    expect(() => BpeTokenizer.train('ab', { vocabSize: 300, minFrequency: 0 })).toThrow(ArgumentError);
    expect(() => new BpeTokenizer([['ab', 'c']])).toThrow('merge 0 joins ab and c');
    expect(() => new BpeTokenizer([['a', 'b']], { pad: 'ab' })).toThrow(
      'BpeTokenizer: "ab" is in the vocabulary twice',
    );
    expect(() => new ByteTokenizer({ pad: 'a' })).toThrow('ByteTokenizer: "a" is in the vocabulary twice');
    expect(() => BpeTokenizer.train('ab', { vocabSize: 300, special: { pad: 'a' } })).toThrow(
      'BpeTokenizer: "a" is in the vocabulary twice',
    );
  });

  it('skips merges whose result is a special token', () => {
    const train = () => BpeTokenizer.train('xbb bb bb bb bbb bbb', { vocabSize: 300, special: { pad: 'Ġbb' } });
    const tokenizer = train();
    const learnt = Array.from({ length: tokenizer.vocabSize - 257 }, (_, i) => tokenizer.idToToken(257 + i));
    expect(learnt).toEqual(['bb', 'bbb', 'Ġbbb'].filter((token) => tokenizer.tokenToId(token) !== undefined));
    expect(learnt).toContain('bb');
    expect(tokenizer.encode(' bb')).toHaveLength(2);
    expect(tokenizer.decode(tokenizer.encode('xbb bb bbb'))).toBe('xbb bb bbb');
    expect(train().toJSON()).toEqual(tokenizer.toJSON());
    expect(BpeTokenizer.fromJSON(JSON.parse(JSON.stringify(tokenizer))).encode(' bb')).toEqual(tokenizer.encode(' bb'));
  });
});

describe('every tokenizer', () => {
  const corpus = [...texts, 'a'];
  const withUnk = { ...special, unk: '<unk>', additional: ['<mask>'] };
  const tokenizers = {
    char: CharTokenizer.train(corpus, { special: withUnk }),
    'char without special tokens': CharTokenizer.train(corpus),
    word: WordTokenizer.train(corpus, { special: withUnk, minFrequency: 2 }),
    'word by whitespace': WordTokenizer.train(corpus, { special, split: 'whitespace' }),
    byte: new ByteTokenizer(special),
    bpe: BpeTokenizer.train(corpus, { vocabSize: 330, special: withUnk, minFrequency: 1 }),
    'bpe without special tokens': BpeTokenizer.train(corpus, { vocabSize: 300 }),
  };

  it.each(Object.entries(tokenizers))('%s: tokenizer.json is read back and encodes the same', async (_, tokenizer) => {
    const text = JSON.stringify(tokenizer.toJSON());
    const own = (tokenizer.constructor as typeof CharTokenizer).fromJSON(JSON.parse(text));
    const throughHuggingFace = await parseTokenizer(text);
    for (const restored of [own, throughHuggingFace]) {
      expect(restored.toJSON()).toEqual(tokenizer.toJSON());
      for (const key of ['vocabSize', 'padId', 'bosId', 'eosId', 'unkId'] as const) {
        expect(restored[key], key).toBe(tokenizer[key]);
      }
      for (const sample of [...texts, '']) {
        for (const addSpecial of [false, true]) {
          const ids = tokenizer.encode(sample, { addSpecial });
          expect(restored.encode(sample, { addSpecial })).toEqual(ids);
          for (const skipSpecial of [false, true]) {
            expect(restored.decode(ids, { skipSpecial })).toBe(tokenizer.decode(ids, { skipSpecial }));
          }
        }
      }
      for (const ids of [[tokenizer.vocabSize], [-1], [0.5], [undefined], [1n], '01', [0, '1']] as number[][]) {
        expect(() => restored.decode(ids)).toThrow(ArgumentError);
        expect(() => restored.decode(ids)).toThrow(
          /^decode: ids contains ("?[\d.-]+n?"?|undefined), expected integers from 0 to/,
        );
      }
    }
  });

  it('is deterministic', () => {
    const train = () => BpeTokenizer.train(corpus, { vocabSize: 350, special });
    expect(JSON.stringify(train())).toBe(JSON.stringify(train()));
  });

  it('refuses an empty corpus', () => {
    for (const empty of ['', [], ['', '<s>']]) {
      expect(() => CharTokenizer.train(empty, { special })).toThrow('the corpus is empty');
      expect(() => WordTokenizer.train(empty, { special })).toThrow(ArgumentError);
      expect(() => BpeTokenizer.train(empty, { special, vocabSize: 300 })).toThrow(ArgumentError);
    }
  });

  it.each([
    [0, '0'],
    [Number.NaN, 'NaN'],
    ['2', '"2"'],
  ])('refuses a minFrequency of %j', (value, shown) => {
    const minFrequency = value as number;
    const expected = `minFrequency is ${shown}, expected a number of at least 1`;
    expect(() => CharTokenizer.train('aabc', { minFrequency })).toThrow(`CharTokenizer: ${expected}`);
    expect(() => WordTokenizer.train('a a b', { minFrequency })).toThrow(`WordTokenizer: ${expected}`);
    expect(() => BpeTokenizer.train('aabc', { minFrequency, vocabSize: 300 })).toThrow(`BpeTokenizer: ${expected}`);
  });

  it('refuses a tokenizer.json of another kind or none', async () => {
    const json = JSON.parse(JSON.stringify(tokenizers.bpe.toJSON()));
    expect(() => CharTokenizer.fromJSON(json)).toThrow(FormatError);
    expect(() => WordTokenizer.fromJSON(JSON.parse(JSON.stringify(tokenizers.char)))).toThrow(FormatError);
    expect(() => BpeTokenizer.fromJSON({ ...json, normalizer: { type: 'Lowercase' } })).toThrow(FormatError);
    expect(() => BpeTokenizer.fromJSON({})).toThrow(FormatError);
    await expect(parseTokenizer('{"model"')).rejects.toThrow(FormatError);
    await expect(parseTokenizer({ model: { vocab: {} } })).rejects.toThrow(FormatError);
  });

  it('names unknown text of files that have no token for it', async () => {
    const tokenizer = await parseTokenizer(CharTokenizer.train('ab👩').toJSON());
    expect(() => tokenizer.encode('👩x')).toThrow('"x" at position 1');
  });

  it('reads roles from tokenizer_config.json', async () => {
    const json = tokenizers['bpe without special tokens'].toJSON();
    const id = Object.keys(json.model.vocab).length;
    const added_tokens = [{ id, content: '<|endoftext|>', special: true }];
    const config = { eos_token: '<|endoftext|>', bos_token: { content: '<|endoftext|>' } };
    const tokenizer = await parseTokenizer({ ...json, added_tokens }, config);
    expect([tokenizer.vocabSize, tokenizer.bosId, tokenizer.eosId, tokenizer.padId]).toEqual([
      id + 1,
      id,
      id,
      undefined,
    ]);
  });
});

/** Counts every pair anew before each merge; ties as in learnMerges. */
function slowMerges(words: string[], count: number): [string, string][] {
  const vocabulary = new Map<string, number>();
  const bytes = new ByteTokenizer();
  for (let id = 0; id < 256; id++) vocabulary.set(bytes.idToToken(id) as string, id);
  let split = words.map((word) => bytes.encode(word).map((id) => bytes.idToToken(id) as string));
  const merges: [string, string][] = [];
  while (merges.length < count) {
    const counts = new Map<string, { pair: [string, string]; count: number }>();
    for (const word of split) {
      for (let i = 0; i + 1 < word.length; i++) {
        const pair: [string, string] = [word[i] as string, word[i + 1] as string];
        const entry = counts.get(pair.join('\n')) ?? { pair, count: 0 };
        counts.set(pair.join('\n'), { pair, count: entry.count + 1 });
      }
    }
    const id = (token: string) => vocabulary.get(token) as number;
    const [best] = [...counts.values()].sort(
      (a, b) => b.count - a.count || id(a.pair[0]) - id(b.pair[0]) || id(a.pair[1]) - id(b.pair[1]),
    );
    const [left, right] = (best as { pair: [string, string] }).pair;
    if (!merges.some(([a, b]) => a === left && b === right)) merges.push([left, right]);
    if (!vocabulary.has(left + right)) vocabulary.set(left + right, vocabulary.size);
    split = split.map((word) => {
      const merged: string[] = [];
      for (let i = 0; i < word.length; i++) {
        if (word[i] === left && word[i + 1] === right) merged.push(left + right) && i++;
        else merged.push(word[i] as string);
      }
      return merged;
    });
  }
  return merges;
}

describe('CharTokenizer of a published model', async () => {
  const { json } = testData('checkpoints/aren-transliteration');
  const { target } = await json<{ target: string[] }>('vocabulary.json');

  it('reads the vocabulary of a published model', () => {
    const roles = { pad: '<blank>', bos: '<s>', eos: '</s>', unk: '<unk>' };
    const tokenizer = new CharTokenizer([...target, '<unk>'], roles);
    expect(tokenizer.decode(tokenizer.encode('atzmon', { addSpecial: true }))).toBe('atzmon');
    expect(tokenizer.encode('A')).toEqual([target.length]);
  });
});

describe('BpeTokenizer of a large text', async () => {
  const { bytes } = testData('corpora/tinyshakespeare');
  const shakespeare = new TextDecoder().decode(await bytes('input.txt'));

  it('is fast on megabytes and on very long words', () => {
    const begin = process.cpuUsage(); // whatever else runs takes no part in it
    const tokenizer = BpeTokenizer.train(shakespeare.repeat(3), { vocabSize: 4096 });
    expect(tokenizer.vocabSize).toBe(4096);
    expect(tokenizer.decode(tokenizer.encode(shakespeare))).toBe(shakespeare);
    expect(tokenizer.decode(tokenizer.encode('the'.repeat(50_000)))).toBe('the'.repeat(50_000));
    expect(process.cpuUsage(begin).user).toBeLessThan(20_000_000);
  });
});
