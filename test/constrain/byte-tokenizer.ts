import { parseTokenizer } from '../../src/tokenizers/index.js';

/** A byte-level BPE of all bytes and some longer tokens, with an end token. */
export function byteTokenizer(normalizer: object | null = null) {
  const isShown = (byte: number) => (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xff && byte !== 0xad);
  let moved = 256;
  const bytes = Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isShown(byte) ? byte : moved++));
  const pairs = [
    ['"', ','],
    ['"', ':'],
    ['{', '"'],
    ['}', '}'],
    ['t', 'r'],
    ['tr', 'ue'],
    ['u', 'e'],
    ['1', '0'],
    ['a', 'b'],
    ['ab', '"'],
    ['\\', '"'],
  ];
  const merges = [...pairs].sort((a, b) => a.join('').length - b.join('').length);
  const tokens = ['</s>', ...bytes, ...merges.map((pair) => pair.join(''))];
  return parseTokenizer({
    version: '1.0',
    added_tokens: [
      { id: 0, content: '</s>', special: true, single_word: false, lstrip: false, rstrip: false, normalized: false },
    ],
    normalizer,
    pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges: merges.map(([a, b]) => `${a} ${b}`),
    },
  });
}
