// Normalizers of a tokenizer.json: they change the text before it is split.

import type { AlignedText } from './aligned-text.js';
import { BYTE_NAMES } from './byte-level.js';
import { type CharsmapEntry, charsmap } from './charsmap.js';
import { literally, oniguruma, spansOf } from './oniguruma.js';
import { type Part, partsOf, refuseTokenizer, textOf } from './part.js';
import { CHANGED_BY, type Form, inForm, mayChange } from './unicode-forms.js';
import { ACCENT, BERT_MARK, CONTROL, NMT_CONTROL, OTHER_SPACE } from './unicode-tables.js';

export type Normalizer = (text: AlignedText) => void;

/** Makes the normalizer of a tokenizer.json. Throws FormatError if it is unknown. */
export function normalizerOf(part: unknown): Normalizer {
  return inOrder(partsOf(part, 'normalizers').map(stepOf));
}

/** Makes the normalizer for slices after the first one. It prepends nothing. */
export function continuingNormalizerOf(part: unknown): Normalizer {
  const parts = partsOf(part, 'normalizers').filter(({ type }) => type !== 'Prepend');
  return inOrder(parts.map(stepOf));
}

function inOrder(steps: readonly Normalizer[]): Normalizer {
  return (text) => {
    for (const step of steps) step(text);
  };
}

function stepOf(part: Part): Normalizer {
  switch (part.type) {
    case 'NFC':
    case 'NFD':
    case 'NFKC':
    case 'NFKD':
      return (text) => putInForm(text, part.type as Form);
    case 'Lowercase':
      return lower;
    case 'StripAccents':
      return (text) => remove(text, ACCENT);
    case 'Strip':
      return (text) => strip(text, part);
    case 'Replace': {
      const pattern = patternOf(part);
      const content = textOf(part, 'content');
      return (text) => replace(text, pattern, content);
    }
    case 'Prepend': {
      const prefix = textOf(part, 'prepend');
      return (text) => prepend(text, prefix);
    }
    case 'BertNormalizer':
      return bert(part);
    case 'Nmt':
      return (text) => {
        remove(text, NMT_CONTROL);
        map(text, NMT_SPACE, () => ' ');
      };
    case 'ByteLevel':
      return nameBytes;
    case 'Precompiled': // some converted files have no map; most maps equal NFKC
      if (!part.precompiled_charsmap) return (text) => putInForm(text, 'NFKC');
      return byCharsmap(charsmap(part.precompiled_charsmap as string));
    default:
      return refuseTokenizer(`a normalizer of type ${JSON.stringify(part.type)}`);
  }
}

/** The pattern of a step: a text or a regular expression. */
export function patternOf({ pattern }: Part): RegExp {
  const { String: text, Regex: regex } = (pattern ?? {}) as Readonly<Record<string, unknown>>;
  if (typeof regex === 'string') return oniguruma(regex);
  if (typeof text === 'string') return literally(text);
  return refuseTokenizer(`${JSON.stringify(pattern)} for a pattern, expected a String or a Regex`);
}

/** Replaces each matching character by the result of `replacement`. */
function map(text: AlignedText, pattern: RegExp, replacement: (character: string) => string): void {
  text.edit(spansOf(pattern, text.text), (found) => {
    const characters: string[] = [];
    const changes: number[] = [];
    for (const character of found) {
      let change = 0;
      for (const mapped of replacement(character)) {
        characters.push(mapped);
        changes.push(change);
        change = 1;
      }
    }
    return { characters, changes };
  });
}

function remove(text: AlignedText, pattern: RegExp): void {
  text.edit(spansOf(pattern, text.text), () => ({ characters: [], changes: [] }));
}

/** Replaces matches of a pattern by `content`, at the position of their last character. */
export function replace(text: AlignedText, pattern: RegExp, content: string): void {
  const characters = Array.from(content);
  const changes = characters.map(() => 1);
  text.edit(spansOf(pattern, text.text), ({ length }) => ({ characters, changes, skipped: length }));
}

/** Puts `prefix` before a text that is not empty, at the position of its first character. */
export function prepend(text: AlignedText, prefix: string): void {
  text.edit(spansOf(FIRST, text.text), (first) => {
    const characters = [...prefix, first];
    return { characters, changes: characters.map((_, i) => Number(prefix === '' || i > 0)) };
  });
}

/** Replaces every character by the names of its bytes. */
export function nameBytes(text: AlignedText): void {
  map(text, OTHER_THAN_NAMES, byteNames);
}

const FIRST = /^[\s\S]/gu;
/** Characters that are not their own byte names. */
const OTHER_THAN_NAMES = /[^!-~]+/gu;
const encoder = new TextEncoder();

function byteNames(character: string): string {
  if (character <= '\x7f') return BYTE_NAMES[character.charCodeAt(0)] as string;
  return Array.from(encoder.encode(character), (byte) => BYTE_NAMES[byte]).join('');
}

function putInForm(text: AlignedText, form: Form): void {
  const spans = spansOf(CHANGED_BY[form], text.text);
  const changed = spans.filter(([start, end]) => mayChange(text.text.slice(start, end), form));
  text.edit(changed, (found) => inForm(found, form));
}

function lower(text: AlignedText): void {
  if (text.text.toLowerCase() !== text.text) map(text, CASED, (character) => character.toLowerCase());
}

function strip(text: AlignedText, { strip_left: left, strip_right: right }: Part): void {
  if (left) remove(text, LEADING_SPACE);
  if (right) remove(text, TRAILING_SPACE);
}

const LEADING_SPACE = /^\p{White_Space}+/gu;
const TRAILING_SPACE = /(?<!\p{White_Space})\p{White_Space}+$/gu;
const CASED = /[\p{Uppercase}\p{Lt}]+/gu;
const NMT_SPACE = /[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]/g;
/** Ideographs that BERT treats as words of their own. */
const IDEOGRAPH =
  /[\u4e00-\u9fff\u3400-\u4dbf\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\uf900-\ufaff\u{2f800}-\u{2fa1f}]+/gu;

function bert({ clean_text, handle_chinese_chars, strip_accents, lowercase }: Part): Normalizer {
  return (text) => {
    if (clean_text ?? true) {
      remove(text, CONTROL);
      map(text, OTHER_SPACE, () => ' ');
    }
    if (handle_chinese_chars ?? true) map(text, IDEOGRAPH, (character) => ` ${character} `);
    if (strip_accents ?? lowercase ?? true) {
      putInForm(text, 'NFD');
      remove(text, BERT_MARK);
    }
    if (lowercase ?? true) lower(text);
  };
}

function byCharsmap(entriesOf: (text: string) => Iterable<CharsmapEntry>): Normalizer {
  return (text) => {
    const characters: string[] = [];
    const changes: number[] = [];
    let isSame = true;
    for (const { before, after } of entriesOf(text.text)) {
      const kept = after === null ? before : after;
      isSame &&= after === null;
      const replaced = Array.from(kept);
      const more = replaced.length - Array.from(before).length;
      characters.push(...replaced);
      // Inserted characters come last. The last kept character records the dropped ones.
      for (let i = 0; i < replaced.length; i++) changes.push(i >= replaced.length - more ? 1 : 0);
      if (more < 0 && changes.length > 0) changes[changes.length - 1] = (changes.at(-1) as number) + more;
    }
    if (!isSame) text.edit([[0, text.text.length]], () => ({ characters, changes }));
  };
}
