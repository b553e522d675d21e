import { describe, expect, it } from 'vitest';
import { TextStream } from '../../src/tasks/index.js';
import { ByteTokenizer, parseTokenizer, WordTokenizer } from '../../src/tokenizers/index.js';

/** SentencePiece's way: a mark for spaces, of which the first is none, and bytes where there is no token. */
const bytes = Array.from({ length: 256 }, (_, i) => `<0x${i.toString(16).toUpperCase().padStart(2, '0')}>`);
const metaspace = await parseTokenizer({
  version: '1.0',
  truncation: null,
  padding: null,
  added_tokens: [
    { id: 0, content: '<s>', special: true, single_word: false, lstrip: false, rstrip: false, normalized: false },
  ],
  normalizer: null,
  pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: false },
  post_processor: null,
  decoder: {
    type: 'Sequence',
    decoders: [
      { type: 'Replace', pattern: { String: '▁' }, content: ' ' },
      { type: 'ByteFallback' },
      { type: 'Fuse' },
      { type: 'Strip', content: ' ', start: 1, stop: 0 },
    ],
  },
  model: {
    type: 'BPE',
    unk_token: null,
    byte_fallback: true,
    fuse_unk: false,
    merges: [],
    vocab: Object.fromEntries(['<s>', ...bytes, '▁', 'a', 'b'].map((token, i) => [token, i])),
  },
});

const text = 'a b  ab 東京 😀é b';

describe('a text that grows by tokens', () => {
  it.each([
    ['bytes', new ByteTokenizer()],
    ['words', WordTokenizer.train(text)],
    ['a mark for spaces, and bytes', metaspace],
  ] as const)('consists of whole characters: %s', (_, tokenizer) => {
    const ids = tokenizer.encode(text);
    const stream = new TextStream(tokenizer);
    const pieces = [...ids.map((id) => stream.push(id)), stream.end()];
    expect(pieces.join('')).toBe(tokenizer.decode(ids));
    expect(pieces.join('')).not.toContain('\ufffd');
    expect(pieces.at(-1)).toBe('');
  });

  it('ends with a whole character', () => {
    const tokenizer = new ByteTokenizer();
    const stream = new TextStream(tokenizer);
    const pieces = tokenizer
      .encode('é😀')
      .slice(0, -1)
      .map((id) => stream.push(id));
    expect(pieces).toEqual(['', 'é', '', '', '']);
    expect(stream.end()).toBe('');
  });

  it('does not wait forever for bytes that are not text', () => {
    const stream = new TextStream({ decode: (ids) => '\ufffd'.repeat([...ids].length) });
    const shown = Array.from({ length: 100 }, (_, i) => stream.push(i)).join('');
    expect(shown.length).toBeGreaterThan(90);
  });
});
