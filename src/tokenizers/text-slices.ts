// Long texts in slices that are tokenized by themselves, with the tokens that the whole text has.
//
// A slice ends between an ASCII letter and a space that another ASCII letter follows. No step that is allowed below looks
// across such a place: Unicode's normal forms do not compose a space with what is before it, the known patterns begin a new
// word at the space, and a vocabulary without tokens that have a space behind a letter has no merge across it.

import { type TokenizerJson, type TokenizerModel, typeOf } from './json.js';
import type { Model } from './model.js';
import { type Part, partsOf } from './part.js';

/** UTF-16 units of a slice, if there is a place to cut behind them. */
const SLICE_LENGTH = 4096;

const BOUNDARY = /(?<=[A-Za-z])(?= [A-Za-z])/g;

/** Cuts a text into slices of about `length` units. */
export function* slicesOf(text: string, length = SLICE_LENGTH): Generator<string> {
  let start = 0;
  while (text.length - start > length) {
    BOUNDARY.lastIndex = start + length;
    const cut = BOUNDARY.exec(text)?.index;
    if (cut === undefined) break;
    yield text.slice(start, cut);
    start = cut;
  }
  yield text.slice(start);
}

/** Normalizers that look at each character, or at characters that Unicode composes. */
const LOCAL_NORMALIZERS = new Set([
  ...['NFC', 'NFD', 'NFKC', 'NFKD', 'Lowercase', 'StripAccents', 'BertNormalizer', 'Nmt', 'ByteLevel', 'Prepend'],
]);

/** Split patterns that begin a match at a space before a letter: GPT-2's, cl100k's, Llama 3's, Qwen 2's and o200k's. */
const SPACE_BEFORE_WORD = /(?:\[\^\\r\\n\\p\{L\}\\p\{N\}\]\?| \?)(?:\\p\{L\}\+|\[\\p\{L)/;
const LOOKS_BEHIND = /\(\?<[=!]/;

/** The mark that a space becomes in the vocabulary, behind a letter: only then can a merge reach across a cut. */
const ACROSS_CUT = /[A-Za-z][ ▁Ġ]/u;
/** Tokens that are checked before a pause. */
const TOKENS_A_SLICE = 8192;

/**
 * Whether the slices of a text have the tokens of the whole text. The generator pauses while it goes through a vocabulary.
 */
export function* canSlice(json: TokenizerJson, model: Model): Generator<undefined, boolean> {
  const { normalizer, pre_tokenizer, added_tokens, model: file } = json;
  const normalizers = partsOf(normalizer, 'normalizers');
  const preTokenizers = partsOf(pre_tokenizer, 'pretokenizers');
  const hasSpaces = !normalizers.some(({ type, pattern }) => type === 'Replace' && stringOf(pattern) === ' ');
  const isLocal =
    normalizers.every(normalizesLocally) &&
    preTokenizers.every((part) => splitsLocally(part, hasSpaces)) &&
    added_tokens.every(isWithinSlice);
  if (!isLocal) return false;
  if (preTokenizers.some(splitsAtSpaces)) return true;
  // The whole text is one word. Sums of Unigram's scores would be rounded otherwise, so this is for BPE alone.
  const { continuing_subword_prefix, end_of_word_suffix, fuse_unk } = file as MergeFields;
  if (typeOf(file) !== 'BPE' || continuing_subword_prefix || end_of_word_suffix || fuse_unk) return false;
  let count = 0;
  for (const [token] of model.ids) {
    if (ACROSS_CUT.test(token)) return false;
    if (++count % TOKENS_A_SLICE === 0) yield;
  }
  return true;
}

type MergeFields = TokenizerModel & { readonly end_of_word_suffix?: string | null; readonly fuse_unk?: boolean };

const stringOf = (pattern: unknown): unknown => (pattern as { readonly String?: unknown } | undefined)?.String;

function isWithinSlice({ content, lstrip, rstrip }: TokenizerJson['added_tokens'][number]): boolean {
  return (
    !/[A-Za-z] [A-Za-z]/.test(content) &&
    !(lstrip && /^[A-Za-z]/.test(content)) &&
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
  if (part.type === 'Split' && !hasSpaces && stringOf(part.pattern) === ' ') return true; // finds nothing
  return splitsAtSpaces(part) || ['Digits', 'Punctuation', 'ByteLevel'].includes(part.type as string);
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
