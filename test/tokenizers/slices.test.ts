// Long texts in slices have the tokens of the whole text.
import { describe, expect, it, vi } from 'vitest';
import { Random } from '../../src/core/random.js';
import { preTokenizerNamed } from '../../src/pretrained/gguf/pre-tokenizers.js';
import { Engine } from '../../src/tokenizers/engine.js';
import { parseTokenizer } from '../../src/tokenizers/huggingface.js';
import { checkTokenizerJson } from '../../src/tokenizers/huggingface-tokenizer.js';
import { slicesOf } from '../../src/tokenizers/text-slices.js';
import { recordedIn } from './recorded.js';

const recorded = recordedIn<{ texts: string[]; tokenizers: Record<string, { json: object }> }>('ids.json.gz');

/** Texts of many scripts in another order, with English words between them. */
function longText(seed: number): string {
  const random = new Random(seed);
  const words = "the cat can't see 3 DOGS: that is it, said I'm  not\n\n here\tnow".split(/(?<= )/);
  const parts: string[] = [];
  for (let i = 0; i < 60; i++) {
    parts.push(recorded.texts[random.below(recorded.texts.length)] as string);
    for (let n = random.below(12); n > 0; n--) parts.push(`${words[random.below(words.length)]} `);
  }
  return parts.join('');
}

it('cuts between a letter and a space before a letter', () => {
  const text = 'ab cd  ef, gh ij é kl';
  expect([...slicesOf(text, 1)]).toEqual(['ab', ' cd  ef, gh', ' ij é kl']);
  expect([...slicesOf(text, 100)]).toEqual([text]);
  expect([...slicesOf('', 1)]).toEqual(['']);
  expect([...slicesOf(longText(1), 50)].join('')).toBe(longText(1));
});

const sliced: string[] = [];

describe.each(Object.entries(recorded.tokenizers))('%s', (name, { json }) => {
  it('gives the same tokens, positions and words', async () => {
    const engine = new Engine(checkTokenizerJson(json));
    for (const seed of [1, 2, 3]) {
      const text = longText(seed);
      const whole = engine.items(text, 0);
      const parts = [...engine.itemsInParts(text, 0, 40)].filter(({ length }) => length > 0);
      if (parts.length > 1 && seed === 1) sliced.push(name);
      expect(parts.flat()).toEqual(whole);
    }
    const [tokenizer, text] = [await parseTokenizer(json), longText(4).repeat(4)];
    for (const addSpecial of [false, true]) {
      const ids = tokenizer.encode(text, { addSpecial });
      expect(await tokenizer.encodeAsync(text, { addSpecial })).toEqual(ids);
      const { inputIds } = tokenizer.encodeBatch([text], { addSpecialTokens: addSpecial });
      expect(inputIds[0]).toEqual(ids);
    }
    const options = { returnOffsets: true, textPair: ['and another', text] } as const;
    const texts = [text, 'short'];
    expect(await tokenizer.encodeBatchAsync(texts, options)).toEqual(tokenizer.encodeBatch(texts, options));
    for (const cut of [
      { truncationSide: 'left' },
      { truncation: 'only_first' },
      { returnOverflowingTokens: true },
    ] as const) {
      const limits = { truncation: true, maxLength: 9, ...cut } as const;
      expect(await tokenizer.encodeBatchAsync(texts, limits)).toEqual(tokenizer.encodeBatch(texts, limits));
    }
  });
});

it('reads only the part of a text that is kept', async () => {
  const tokenizer = await parseTokenizer(byteLevelJson());
  const text = longText(1).repeat(50);
  const { itemsInParts } = Engine.prototype;
  let read = 0;
  const counting = function* (this: Engine, ...given: Parameters<Engine['itemsInParts']>) {
    for (const items of itemsInParts.apply(this, given)) {
      read += items.length;
      yield items;
    }
  };
  const spy = vi.spyOn(Engine.prototype, 'itemsInParts').mockImplementation(counting);
  try {
    const limits = { truncation: true, maxLength: 8 } as const;
    const { inputIds } = await tokenizer.encodeBatchAsync([text], limits);
    expect(read).toBeLessThan(tokenizer.encode(text).length / 10);
    expect(inputIds).toEqual(tokenizer.encodeBatch([text], limits).inputIds);
  } finally {
    spy.mockRestore();
  }
});

it('applies to most of the tokenizers', () => {
  expect(sliced.length).toBeGreaterThan(Object.keys(recorded.tokenizers).length / 2);
});

/** A recorded tokenizer with byte pairs. */
function byteLevelJson(): object {
  type Json = { readonly pre_tokenizer: unknown; readonly model: { readonly type: string } };
  const all = Object.values(recorded.tokenizers).map(({ json }) => json as Json);
  const isByteLevel = ({ model, pre_tokenizer }: Json) =>
    model.type === 'BPE' && JSON.stringify(pre_tokenizer).includes('"ByteLevel"');
  return all.find(isByteLevel) as object;
}

it('applies to texts that are one word, also if unknown neighbours become one token', () => {
  type Json = { model: { vocab: Record<string, number>; merges: [string, string][] }; added_tokens: object[] };
  const json = recorded.tokenizers['BPE with bytes']!.json as Json;
  const isWithinSlice = (token: string) => !/[A-Za-z]▁/.test(token);
  const vocab = Object.fromEntries(Object.entries(json.model.vocab).filter(([token]) => isWithinSlice(token)));
  const merges = json.model.merges.filter((merge) => isWithinSlice(merge.join('')));
  const letters = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'].filter((letter) => !(letter in vocab));
  const first = 1000;
  const more = { ...vocab, ...Object.fromEntries(letters.map((letter, i) => [letter, first + i])) };
  const tokens = [' a', 'b'].map((content, i) => ({
    id: first + letters.length + i,
    content,
    special: false,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
  }));
  const added_tokens = [...json.added_tokens, ...tokens];
  for (const given of [{}, { added_tokens }])
    for (const fuse_unk of [true, false]) {
      const engine = new Engine(
        checkTokenizerJson({ ...json, ...given, model: { ...json.model, vocab: more, merges, fuse_unk } }),
      );
      for (const seed of [1, 2, 3]) {
        const text = `${longText(seed)} x a bc b d`.repeat(2);
        const parts = [...engine.itemsInParts(text, 0, 40)].filter(({ length }) => length > 0);
        expect(parts.length).toBeGreaterThan(1);
        expect(parts.flat()).toEqual(engine.items(text, 0));
      }
    }
  // A letter that is unknown may become one token with its unknown neighbours.
  const { Q: _, ...rest } = more;
  const engine = new Engine(
    checkTokenizerJson({ ...json, model: { ...json.model, vocab: rest, merges, fuse_unk: true } }),
  );
  expect([...engine.itemsInParts(longText(1), 0, 40)].filter(({ length }) => length > 0)).toHaveLength(1);
});

it.each(['smollm', 'default', 'falcon', 'llama-bpe', 'qwen2'])(
  'applies to GGUF files with the words of %s',
  async (name) => {
    const json = byteLevelJson();
    const bytes = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false };
    const splits = preTokenizerNamed(name).patterns.map((Regex) => {
      return { type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false };
    });
    const pre_tokenizer = { type: 'Sequence', pretokenizers: [...splits, bytes] };
    const engine = new Engine(checkTokenizerJson({ ...json, normalizer: null, pre_tokenizer }));
    for (const seed of [1, 2, 3]) {
      const text = longText(seed);
      const parts = [...engine.itemsInParts(text, 0, 40)].filter(({ length }) => length > 0);
      expect(parts.length).toBeGreaterThan(1);
      expect(parts.flat()).toEqual(engine.items(text, 0));
    }
  },
);
