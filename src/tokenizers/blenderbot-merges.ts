// Makes the small Blenderbot's tokenizer from vocab.json and merges.txt, for models without a tokenizer.json.

import { FormatError } from '../core/errors.js';
import { idsOf } from './byte-level-merges.js';
import type { TokenizerJson } from './json.js';

const SPECIAL = ['__null__', '__start__', '__end__', '__unk__'];
const UNKNOWN = '__unk__';
/** The end of a word in merges.txt, and the end of a part that is not the last one of its word in vocab.json. */
const [END, GOES_ON] = ['</w>', '@@'];

/**
 * Makes the tokenizer.json of transformers' BlenderbotSmallTokenizer. Words begin at white space and before
 * punctuation, and apostrophes are words. Throws FormatError if the unknown word is missing, or if an id is invalid.
 */
export function blenderbotTokenizerJson(vocab: Readonly<Record<string, unknown>>, merges: string): TokenizerJson {
  const ids = idsOf(vocab);
  const unknown = Object.hasOwn(ids, UNKNOWN) ? ids[UNKNOWN] : undefined;
  if (unknown === undefined) throw new FormatError(`vocab.json has no ${UNKNOWN}, which stands for unknown words`);
  const decode = (token: string) => {
    if (SPECIAL.includes(token)) return token;
    const isPart = token.endsWith(GOES_ON) && token !== GOES_ON;
    return isPart ? token.slice(0, -GOES_ON.length) : token + END;
  };
  const known = new Map(Object.entries(ids).map(([token, id]) => [decode(token), id]));
  // The first line is a comment.
  const pairs = merges
    .split('\n')
    .slice(1)
    .map((line) => line.trim().split(/\s+/))
    .filter(({ length }) => length === 2);
  const parts = new Map(pairs.flatMap((pair) => [...pair, pair.join('')]).map((part) => [part, unknown]));
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  const added = SPECIAL.filter((token) => Object.hasOwn(ids, token));
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added.map((content) => ({ id: ids[content] as number, content, ...flags })),
    normalizer: {
      type: 'Sequence',
      normalizers: [
        { type: 'Replace', pattern: { Regex: "(?<=[^\\s'])\\n" }, content: ' __newln__ ' },
        { type: 'Lowercase' },
      ],
    },
    pre_tokenizer: {
      type: 'Split',
      pattern: { Regex: "'|[.,!?()][^\\s.,!?()']*|[^\\s.,!?()']+" },
      behavior: 'Removed',
      invert: true,
    },
    post_processor: null,
    decoder: { type: 'BPEDecoder', suffix: END },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: UNKNOWN,
      fuse_unk: false,
      byte_fallback: false,
      end_of_word_suffix: END,
      vocab: Object.fromEntries([...parts, ...known]),
      merges: pairs,
    } as TokenizerJson['model'],
  };
}
