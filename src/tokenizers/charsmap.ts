import { FormatError } from '../core/errors.js';

/**
 * Maximum length in UTF-8 bytes of a grapheme that is looked up as a whole. Longer ones are looked up character by
 * character.
 */
const MAX_GRAPHEME_BYTES = 5;

const KNOWN_ENTRIES = 1 << 14;
const KNOWN_LENGTH = 64;

/** A part of a text and its replacement, or null if the map has no entry for it. */
export interface CharsmapEntry {
  readonly before: string;
  readonly after: string | null;
}

/**
 * Applies the `precompiled_charsmap` of a SentencePiece model to text, as Rust's `tokenizers` does. The first entry
 * that is a prefix of a grapheme replaces the whole grapheme. Throws FormatError for an invalid map.
 */
export function charsmap(base64: string): (text: string) => Iterable<CharsmapEntry> {
  const find = finderIn(base64);
  const encoder = new TextEncoder();

  const entriesOf = (grapheme: string): CharsmapEntry[] => {
    const key = encoder.encode(grapheme);
    const whole = key.length <= MAX_GRAPHEME_BYTES ? find(key) : undefined;
    if (whole !== undefined) return [{ before: grapheme, after: whole }];
    return Array.from(grapheme, (before) => ({ before, after: find(encoder.encode(before)) ?? null }));
  };

  const known = new Map<string, CharsmapEntry[]>();
  return function* (text) {
    for (const grapheme of graphemesOf(text)) {
      let entries = known.get(grapheme);
      if (entries === undefined) {
        entries = entriesOf(grapheme);
        if (known.size >= KNOWN_ENTRIES) known.clear();
        if (grapheme.length <= KNOWN_LENGTH) known.set(grapheme, entries);
      }
      yield* entries;
    }
  };
}

/** Returns a function that finds the text of the shortest entry that is a prefix of a key. */
function finderIn(base64: string): (key: Uint8Array) => string | undefined {
  const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
  const trieBytes = bytes.length < 4 ? -1 : new DataView(bytes.buffer).getUint32(0, true);
  if (trieBytes <= 0 || trieBytes % 4 !== 0 || 4 + trieBytes > bytes.length) {
    throw new FormatError('this tokenizer.json has a damaged precompiled_charsmap, expected one of SentencePiece');
  }
  const view = new DataView(bytes.buffer, 4, trieBytes);
  const unitAt = (node: number) => (node * 4 < trieBytes ? view.getUint32(node * 4, true) : 0);
  const texts = bytes.subarray(4 + trieBytes);
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  return (key) => {
    let node = childrenOf(unitAt(0));
    for (const byte of key) {
      node ^= byte;
      const unit = unitAt(node);
      if (byte === 0 || (unit & LABEL) !== byte) return undefined;
      node ^= childrenOf(unit);
      if (unit & ENDS_ENTRY) {
        const start = unitAt(node) & VALUE;
        return decoder.decode(texts.subarray(start, texts.indexOf(0, start)));
      }
    }
    return undefined;
  };
}

/** ASCII text without carriage returns, in which each character is a grapheme. */
const ASCII = /^[\n -~]+$/;

/**
 * Yields the graphemes of a text. The text is segmented in short pieces, because Intl.Segmenter takes quadratic time.
 */
function* graphemesOf(text: string): Iterable<string> {
  const segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' });
  let last = ''; // the last grapheme may continue in the next piece
  for (const [piece] of text.matchAll(/[\s\S]{1,256}/gu)) {
    const together = last + piece;
    const found = ASCII.test(together)
      ? Array.from(together)
      : Array.from(segmenter.segment(together), ({ segment }) => segment);
    last = found.pop() as string;
    yield* found;
  }
  if (last !== '') yield last;
}

// Masks of a unit of the trie, which is a double array (Darts-clone). A unit has a label, a flag for the end of an
// entry, and the position of its children.
const LABEL = 0x800000ff | 0;
const ENDS_ENTRY = 0x100;
const VALUE = 0x7fffffff;

function childrenOf(unit: number): number {
  return (unit >>> 10) << ((unit & 0x200) >>> 6);
}
