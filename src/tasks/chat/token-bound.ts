// Lower bounds of the number of tokens. They allow to refuse a text that cannot fit before it is tokenized.

import { tokenBytes } from '../../constrain/token-bytes.js';
import { inSlices } from '../../core/slices.js';
import type { PretrainedTokenizer } from '../../tokenizers/huggingface.js';
import { type TokenizerJson, typeOf } from '../../tokenizers/json.js';

/** Returns a lower bound of the number of a text's tokens. */
export type TokenBound = (text: string) => number;

const NO_BOUND: TokenBound = () => 0;

const encoder = new TextEncoder();
const byteLength = (text: string) => encoder.encode(text).length;

interface Part {
  readonly type?: string;
  readonly behavior?: string;
  readonly normalizers?: readonly Part[];
  readonly pretokenizers?: readonly Part[];
  readonly pattern?: { readonly String?: string };
  readonly content?: string;
  readonly prepend_scheme?: string;
}

/**
 * Returns the bound for a tokenizer. The bound is 0 if few tokens can represent a long text. Such tokenizers delete
 * characters, or have one token for unknown text of any length.
 */
export async function tokenBoundOf(tokenizer: PretrainedTokenizer | null): Promise<TokenBound> {
  const json = (tokenizer as unknown as { toJSON?(): TokenizerJson } | null)?.toJSON?.();
  if (tokenizer === null || json === undefined) return NO_BOUND;
  // Tokens that strip spaces match any number of them, and tokens with spaces match several words.
  const absorb = json.added_tokens.some(({ lstrip, rstrip, content }) => lstrip || rstrip || /\s/.test(content));
  if (absorb) return NO_BOUND;
  const shrinking = shrinkingOf(json.normalizer);
  if (shrinking !== null && keepsBytes(json)) {
    const longest = await longestToken(tokenizer);
    return longest === null ? NO_BOUND : (text) => Math.ceil(byteLength(text) / (shrinking * longest));
  }
  return splitsWords(json) ? countWords : NO_BOUND;
}

/** Returns the maximum number of bytes that a normalizer turns into one byte, or null if it may delete text. */
function shrinkingOf(normalizer: unknown): number | null {
  const parts = flattened(normalizer, 'normalizers');
  let shrinking = 1;
  for (const { type, pattern, content } of parts) {
    if (type === 'Prepend') continue;
    // NFC composes at most three characters into one: Hangul's 9 bytes become 3, and Greek's 6 become 3.
    if (type === 'NFC') shrinking *= 3;
    else if (type === 'Replace' && pattern?.String && content) {
      const [before, after] = [byteLength(pattern.String), byteLength(content)];
      shrinking *= Math.max(1, before / after);
    } else return null;
  }
  return shrinking;
}

/** True for byte pair encodings that represent every byte of a text. */
function keepsBytes({ model, pre_tokenizer }: TokenizerJson): boolean {
  if (typeOf(model) !== 'BPE') return false;
  const parts = flattened(pre_tokenizer, 'pretokenizers');
  const keeps = parts.every(
    ({ type, behavior }) =>
      type === 'ByteLevel' || type === 'Digits' || type === 'Metaspace' || (type === 'Split' && behavior !== 'Removed'),
  );
  return keeps && (model.byte_fallback === true || parts.some(({ type }) => type === 'ByteLevel'));
}

/** Normalizers that keep ASCII letters, digits and spaces. */
const KEEPING_WORDS = ['BertNormalizer', 'Lowercase', 'NFC', 'NFD', 'NFKC', 'NFKD', 'StripAccents'];

/** True for tokenizers that make at least one token of each word. */
function splitsWords({ model, normalizer, pre_tokenizer }: TokenizerJson): boolean {
  if (!flattened(normalizer, 'normalizers').every(({ type }) => KEEPING_WORDS.includes(type ?? ''))) return false;
  const parts = flattened(pre_tokenizer, 'pretokenizers');
  const isSplit = parts.some(({ type }) => ['BertPreTokenizer', 'Whitespace', 'WhitespaceSplit'].includes(type ?? ''));
  return isSplit && ['WordPiece', 'WordLevel'].includes(typeOf(model));
}

/** Returns the number of runs of ASCII letters and digits that are separated by spaces. */
function countWords(text: string): number {
  let words = 0;
  for (const _ of text.matchAll(/[A-Za-z0-9]+/g)) words++;
  // A tokenizer may delete the characters between two words, and so join the words.
  const gaps = text.match(/[A-Za-z0-9][^ \t\n\rA-Za-z0-9]+(?=[A-Za-z0-9])/g)?.length ?? 0;
  return words - gaps;
}

/** Returns the number of bytes of the longest token, or null if the bytes of tokens are not known. */
async function longestToken(tokenizer: PretrainedTokenizer): Promise<number | null> {
  const added = (tokenizer as unknown as { toJSON(): TokenizerJson }).toJSON().added_tokens;
  try {
    const { longest } = await inSlices(tokenBytes(tokenizer));
    return added.reduce((max, { content }) => Math.max(max, byteLength(content)), Math.max(1, longest));
  } catch {
    return null;
  }
}

function flattened(part: unknown, name: 'normalizers' | 'pretokenizers'): readonly Part[] {
  if (part === null || part === undefined) return [];
  const { type, [name]: parts } = part as Part;
  return type === 'Sequence' ? (parts ?? []).flatMap((inner) => flattened(inner, name)) : [part as Part];
}
