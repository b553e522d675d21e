// The small Blenderbot's folders have vocab.json and merges.txt, but no tokenizer.json. Ids and texts are transformers'.
import { describe, expect, it } from 'vitest';
import { loadTokenizer } from '../../src/index.js';
import small from './blenderbot-small.json' with { type: 'json' };

const bytes = (text: string) => new TextEncoder().encode(text);
const files = (vocab: object = small.vocab) => ({
  'config.json': bytes('{"model_type":"blenderbot-small"}'),
  'vocab.json': bytes(JSON.stringify(vocab)),
  'merges.txt': bytes(`#version: 0.2\n${small.merges.join('\n')}\n`),
});

describe('a folder of the small Blenderbot', async () => {
  const tokenizer = await loadTokenizer(files());

  it.each(small.cases)('gives the ids of $text', ({ text, ids, decoded }) => {
    expect(tokenizer.encode(text)).toEqual(ids);
    expect(tokenizer.decode(ids)).toBe(decoded);
  });
});

it('refuses a vocabulary without its unknown word, or with other values than ids', async () => {
  await expect(loadTokenizer(files({ a: 0 }))).rejects.toThrow(/vocab.json has no __unk__/);
  await expect(loadTokenizer(files({ a: 'b' }))).rejects.toThrow(/"a" is "b", expected an id/);
});

it.each([
  ['clip', 'merges.txt', /has merges.txt but no tokenizer.json: write one with Python/],
  ['mpnet', 'vocab.txt', /has vocab.txt but no tokenizer.json/],
  ['xlm-roberta', 'sentencepiece.bpe.model', /has sentencepiece.bpe.model of SentencePiece but no tokenizer.json/],
  ['marian', 'source.spm', /has source.spm of SentencePiece .*Xenova.opus-mt/],
])('refuses a folder of %s with %s alone, and names what works', async (type, name, message) => {
  const others = {
    'config.json': bytes(JSON.stringify({ model_type: type })),
    [name]: bytes(''),
    'vocab.json': bytes('{}'),
  };
  await expect(loadTokenizer(others)).rejects.toThrow(message);
});
