// What `simdformer train translation` makes of sentences: one set of tokens for both languages, learnt from both, after the
// text has become what translations are trained on and measured by, small letters and words apart from punctuation.

import { BpeTokenizer } from '../tokenizers/bpe.js';
import { learnMerges } from '../tokenizers/bpe-trainer.js';
import { ByteTokenizer } from '../tokenizers/byte.js';
import { BYTE_LEVEL } from '../tokenizers/byte-level.js';
import { type PretrainedTokenizer, parseTokenizer } from '../tokenizers/huggingface.js';
import type { TokenizerJson } from '../tokenizers/json.js';
import { type SpecialTokens, specialList } from '../tokenizers/special.js';

export interface TranslationTokenizerOptions {
  readonly vocabSize: number;
  readonly special: SpecialTokens;
  readonly lowerCase: boolean;
}

/** Words with the space before them: punctuation is a word of its own by then. */
const WORDS = ' ?[^ ]+';

/** Pairs of tokens that occur but once are not merged. */
const MIN_FREQUENCY = 2;

/**
 * Learns a tokenizer from sentences of both languages. Text is normalised by the tokenizer itself, so that plain sentences
 * and those that were normalised before have the same ids, in Python's `tokenizers`, too.
 */
export async function trainTranslationTokenizer(
  sentences: readonly string[],
  { vocabSize, special, lowerCase }: TranslationTokenizerOptions,
): Promise<PretrainedTokenizer> {
  const escapes = sentences.some((text) => /&(apos|quot|amp);/.test(text));
  const normalizer = { type: 'Sequence', normalizers: normalizers(lowerCase, escapes) };
  const normalize = normalizerOf({ normalizer });
  const counts = new Map<string, number>();
  for (const sentence of sentences)
    for (const word of wordsOf(normalize(sentence))) counts.set(word, (counts.get(word) ?? 0) + 1);
  const bytes = new ByteTokenizer(special);
  const base = Array.from({ length: specialList(special).length + 256 }, (_, id) => bytes.idToToken(id) as string);
  const words = [...counts].map(([word, count]) => ({ ids: bytes.encode(word), count }));
  const merges = learnMerges(words, base, vocabSize, MIN_FREQUENCY);
  const split = { type: 'Split', pattern: { Regex: WORDS }, behavior: 'Isolated', invert: false };
  return parseTokenizer({
    ...new BpeTokenizer(merges, special).toJSON(),
    normalizer,
    pre_tokenizer: { type: 'Sequence', pretokenizers: [split, BYTE_LEVEL] },
    decoder: { type: 'Sequence', decoders: [BYTE_LEVEL, { type: 'Strip', content: ' ', start: 1, stop: 0 }] },
  });
}

type Normalizer =
  | { readonly type: 'NFC' | 'Lowercase' | 'Strip' }
  | { readonly type: 'Prepend'; readonly prepend: string }
  | { readonly type: 'Replace'; readonly pattern: { readonly Regex: string }; readonly content: string };

/**
 * What such a tokenizer makes of a sentence before it looks for tokens, without the space in front: in a fraction of the
 * time that it takes to encode it, as thousands of sentences are learnt from.
 */
export function normalizerOf({ normalizer }: Pick<TokenizerJson, 'normalizer'>): (sentence: string) => string {
  const parts = (normalizer as { normalizers?: Normalizer[] } | null)?.normalizers ?? [];
  const steps = parts.map((part) => {
    switch (part.type) {
      case 'NFC':
        return (text: string) => text.normalize('NFC');
      case 'Lowercase':
        return (text: string) => text.toLowerCase();
      case 'Replace': {
        const pattern = new RegExp(part.pattern.Regex, 'gu');
        return (text: string) => text.replace(pattern, () => part.content);
      }
      default:
        return (text: string) => text.trim();
    }
  });
  return (sentence) => steps.reduce((text, step) => step(text), sentence);
}

/** The words of a normalised sentence, each with the space that is before it. */
export function wordsOf(sentence: string): string[] {
  return sentence.split(' ').flatMap((word) => (word === '' ? [] : [` ${word}`]));
}

const replace = (Regex: string, content: string) => ({ type: 'Replace', pattern: { Regex }, content });

/** The escapes of Moses for special characters of XML. */
const ENTITIES = ['apos', 'quot', 'amp', 'lt', 'gt', '#91', '#93', '#124'];

/** Contractions of English that begin with the apostrophe; other languages elide what is before it. */
const CONTRACTIONS = '(?:s|t|re|ve|m|ll|d)(?![\\p{L}\\p{N}])';

/**
 * Moses's rules, as far as regular expressions say them. What they have made stays as it is: text that was tokenized before
 * is not changed. `escapes`: whether quotes are written as XML's entities, as in such text.
 */
function normalizers(lowerCase: boolean, escapes: boolean): object[] {
  const apart = [',', ';', ':', '!', '?', '(', ')'].map((sign) => {
    const regex = sign === '?' || sign === '(' || sign === ')' ? `\\${sign}` : sign;
    if (sign === ',' || sign === ':') return replace(`(?<!\\p{N})${regex}|${regex}(?!\\p{N})`, ` ${sign} `);
    if (sign === ';') return replace(`(?<!${ENTITIES.map((name) => `&${name}`).join('|')});`, ' ; ');
    return replace(regex, ` ${sign} `);
  });
  const [apostrophe, quote] = escapes ? ['&apos;', '&quot;'] : ["'", '"'];
  const ampersand = escapes ? [replace(`&(?!(?:${ENTITIES.join('|')});)`, ' &amp; ')] : [];
  const between = `(?<=[\\p{L}\\p{N}])'(?=`;
  return [
    { type: 'NFC' },
    ...(lowerCase ? [{ type: 'Lowercase' }] : []),
    replace('[’‘`´]', "'"),
    replace('[“”„«»]', '"'),
    ...ampersand,
    ...apart,
    ...(escapes
      ? [
          replace(`${between}${CONTRACTIONS})`, ` ${apostrophe}`),
          replace(`${between}\\p{L})`, `${apostrophe} `),
          replace("'", ` ${apostrophe} `),
          replace('"', ` ${quote} `),
        ]
      : [replace(`${between}${CONTRACTIONS})`, " '"), replace(`${between}\\p{L})`, "' "), replace('"', ' " ')]),
    replace('(?<=[\\p{L}\\p{N})%]{2})\\.(?=\\s*$)', ' .'),
    replace('\\s+', ' '),
    { type: 'Strip', strip_left: true, strip_right: true },
    { type: 'Prepend', prepend: ' ' },
  ];
}
