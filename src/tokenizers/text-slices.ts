// Cuts long texts into slices that are tokenized one by one. The tokens equal those of the whole text.
//
// A slice ends between an ASCII letter and a space that is followed by another ASCII letter. The steps that `cutsOf`
// allows never depend on the text on the other side of such a cut. Unicode's normal forms do not compose a space with
// the character before it. The known patterns begin a new word at the space. A vocabulary without tokens that have a
// space after a letter has no merge across it.

import { type TokenizerJson, type TokenizerModel, typeOf } from './json.js';
import type { Model } from './model.js';
import { type Part, partsOf } from './part.js';

/** Minimum length of a slice in UTF-16 units. It is longer if no cut is possible there. */
const SLICE_LENGTH = 1024;

const BOUNDARY = /(?<=[A-Za-z])(?= [A-Za-z])/g;

/** Cuts a text into slices of about `length` units. */
export function* slicesOf(text: string, length = SLICE_LENGTH): Generator<string> {
  let start = 0;
  while (text.length - start > length) {
    BOUNDARY.lastIndex = start + length;
    const boundary = BOUNDARY.exec(text)?.index;
    if (boundary === undefined) break;
    yield text.slice(start, boundary);
    start = boundary;
  }
  yield text.slice(start);
}

/** Normalizers that look at each character, or at characters that Unicode composes. */
const LOCAL_NORMALIZERS = new Set([
  'NFC',
  'NFD',
  'NFKC',
  'NFKD',
  'Lowercase',
  'StripAccents',
  'BertNormalizer',
  'Nmt',
  'ByteLevel',
  'Prepend',
]);

/** Split patterns that begin a match at a space before a letter: those of GPT-2, cl100k, Llama 3, Qwen 2 and o200k. */
const SPACE_BEFORE_WORD = /(?:\[\^\\r\\n\\p\{L\}\\p\{N\}\]\?| \?)(?:\\p\{L\}\+|\[\\p\{L)/;
const LOOKS_BEHIND = /\(\?<[=!]/;

/** A letter before the mark that a space becomes in the vocabulary. Only such a token can merge across a cut. */
const ACROSS_CUT = /[A-Za-z][ ▁Ġ]/u;
const LETTERS = Array.from({ length: 26 }, (_, i) => String.fromCharCode(0x41 + i)).flatMap((letter) => [
  letter,
  letter.toLowerCase(),
]);

/** Number of tokens that are checked before a pause. */
const TOKENS_A_SLICE = 8192;

/**
 * Tells if the tokens of slices equal those of the whole text, and if cuts are between words or within them. The
 * generator yields lists of no tokens while it reads a vocabulary.
 */
export function* cutsOf(json: TokenizerJson, model: Model): Generator<never[], Cuts> {
  const { normalizer, pre_tokenizer, added_tokens, model: file } = json;
  const normalizers = partsOf(normalizer, 'normalizers');
  const preTokenizers = partsOf(pre_tokenizer, 'pretokenizers');
  const hasSpaces = !normalizers.some(({ type, pattern }) => type === 'Replace' && stringOf(pattern) === ' ');
  const isLocal =
    normalizers.every(normalizesLocally) &&
    preTokenizers.every((part) => splitsLocally(part, hasSpaces)) &&
    added_tokens.every(isWithinSlice);
  if (!isLocal) return 'none';
  if (preTokenizers.some(splitsAtSpaces)) return 'between words';
  // The whole text is one word. Slices would round sums of Unigram scores differently, so only BPE is allowed.
  const { continuing_subword_prefix, end_of_word_suffix, fuse_unk } = file as MergeFields;
  if (typeOf(file) !== 'BPE' || continuing_subword_prefix || end_of_word_suffix) return 'none';
  // Unknown neighbours become one token, but not across a known letter.
  if (fuse_unk && !LETTERS.every((letter) => model.ids.has(letter))) return 'none';
  let count = 0;
  for (const [token] of model.ids) {
    if (ACROSS_CUT.test(token)) return 'none';
    if (++count % TOKENS_A_SLICE === 0) yield [];
  }
  return 'within words';
}

/** Kinds of boundaries at which a text can be split. */
export type Cuts = 'none' | 'between words' | 'within words';

type MergeFields = TokenizerModel & { readonly end_of_word_suffix?: string | null; readonly fuse_unk?: boolean };

const stringOf = (pattern: unknown): unknown => (pattern as { readonly String?: unknown } | undefined)?.String;

function isWithinSlice({ content, lstrip, rstrip, single_word }: TokenizerJson['added_tokens'][number]): boolean {
  return (
    !/[A-Za-z] [A-Za-z]/.test(content) &&
    !(lstrip && /^[A-Za-z]/.test(content)) &&
    !(single_word && /^ [A-Za-z]/.test(content)) &&
    !(rstrip && /[A-Za-z]$/.test(content))
  );
}

function normalizesLocally({ type, pattern, content }: Part): boolean {
  if (type !== 'Replace') return LOCAL_NORMALIZERS.has(type as string);
  const text = stringOf(pattern);
  if (typeof text !== 'string' || text.length !== 1) return false;
  return text === ' ' ? content === '▁' : !/[A-Za-z]/.test(text);
}

function splitsLocally(part: Part, hasSpaces: boolean): boolean {
  if (part.type === 'Split' && !hasSpaces && stringOf(part.pattern) === ' ') return true; // it finds nothing
  return (
    splitsAtSpaces(part) ||
    splitsAtSymbols(part) ||
    ['Digits', 'Punctuation', 'ByteLevel'].includes(part.type as string)
  );
}

/** Patterns of classes without a space and ASCII letters, such as `\p{N}{1,3}`. Their matches end before every cut. */
const SYMBOLS = /^(?:\\p\{[NP]\}|\[0-9\]|\[\\p\{P\}(?:\\[^A-Za-z0-9 ]|[^\]\\A-Za-z -])*\])(?:\+|\{1,3\})?(?:\[0-9\])*$/;

/** True if a pre-tokenizer only splits around digits or punctuation. */
function splitsAtSymbols({ type, pattern, behavior, invert }: Part): boolean {
  const { Regex: regex } = (pattern ?? {}) as { readonly Regex?: unknown };
  return (
    type === 'Split' && behavior === 'Isolated' && invert !== true && typeof regex === 'string' && SYMBOLS.test(regex)
  );
}

/** True if a word begins at a space before a letter, or ends there. */
function splitsAtSpaces({ type, pattern, behavior, invert, split, use_regex, replacement }: Part): boolean {
  switch (type) {
    case 'BertPreTokenizer':
    case 'Whitespace':
    case 'WhitespaceSplit':
      return true;
    case 'ByteLevel':
      return use_regex !== false;
    case 'Metaspace':
      return split !== false && (replacement ?? '▁') === '▁';
    case 'Split': {
      const { Regex: regex } = (pattern ?? {}) as { readonly Regex?: unknown };
      const isKept = behavior === 'Isolated' || (behavior === 'Removed' && invert === true);
      return isKept && typeof regex === 'string' && SPACE_BEFORE_WORD.test(regex) && !LOOKS_BEHIND.test(regex);
    }
    default:
      return false;
  }
}
