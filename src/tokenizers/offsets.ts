// Where tokens come from in the text. The engine gives tokens alone; here each of its steps is followed: what a normalizer
// made of which characters, which of them a piece has, and which of those a token. As Rust's `tokenizers` does it, a
// character that stands for several has the place of the first, and what was put in that of the one beside it.

import { SimdformerError } from '../core/errors.js';
import { BYTE_NAMES } from './byte-level.js';
import type { Engine, Normalizer } from './engine-parts.js';
import { type TokenizerJson, typeOf } from './json.js';
import type { Part } from './part.js';
import type { Section } from './sections.js';

/** A token, the characters of the text that it stands for, in UTF-16 units, and the number of its word. */
export interface TracedToken {
  readonly token: string;
  /** What the text has in its place, of an added token with the white space that it takes. */
  readonly text: string;
  readonly start: number;
  readonly end: number;
  readonly word: number;
}

/** A character with the part of the text that it comes from. */
interface Unit {
  readonly text: string;
  readonly start: number;
  readonly end: number;
}

/** The tokens of `text` with their places. */
export function traceTokens(engine: Engine, json: TokenizerJson, text: string): TracedToken[] {
  const tokens: TracedToken[] = [];
  let word = 0;
  const take = ({ content, text, start, end }: Section, place: (unit: number) => [number, number]) => {
    tokens.push({ token: content as string, text, start: place(start)[0], end: place(end - 1)[1], word: word++ });
  };
  const withoutSpaces = ['WhitespaceSplit', 'Whitespace', 'BertPreTokenizer'].some((type) =>
    hasPart(json.pre_tokenizer, type),
  );
  for (const section of engine.sections(text)) {
    if (section.content !== null) {
      take(section, (unit) => [unit, unit + 1]);
      continue;
    }
    const units = normalized(engine.normalizer, unitsOf(section.text, section.start));
    const byUnit = units.flatMap((unit) => Array.from({ length: unit.text.length }, () => unit));
    for (const part of section.parts) {
      if (part.content !== null) {
        take(part, (unit) => [byUnit[unit]?.start ?? 0, byUnit[unit]?.end ?? 0]);
        continue;
      }
      const all = [...new Set(byUnit.slice(part.start, part.end))];
      const own = withoutSpaces ? all.filter(({ text }) => !SPACE.test(text)) : all;
      const pieces = placed(part.pieces, hasPart(json.pre_tokenizer, 'ByteLevel') ? inBytes(own) : own);
      for (const [i, piece] of pieces.entries()) {
        const found = engine.model([part.pieces[i] as string]);
        for (const token of split(found, piece, json.model)) tokens.push({ ...token, word });
        if (found.length > 0) word++;
      }
    }
  }
  return tokens;
}

function unitsOf(text: string, from: number): Unit[] {
  let start = from;
  return Array.from(text, (character) => {
    const unit = { text: character, start, end: start + character.length };
    start = unit.end;
    return unit;
  });
}

const textOf = (units: readonly Unit[]) => units.map(({ text }) => text).join('');

function normalized(normalizer: Normalizer, units: Unit[]): Unit[] {
  if (normalizer.normalizers) return normalizer.normalizers.reduce((all, each) => normalized(each, all), units);
  const before = textOf(units);
  const after = normalizer(before);
  return before === after ? units : aligned(units, after, normalizer);
}

/** The units of what a normalizer made of `units`. */
function aligned(units: readonly Unit[], after: string, normalizer: Normalizer): Unit[] {
  const before = textOf(units);
  const eachAlone = units.map(({ text }) => normalizer(text));
  if (eachAlone.join('') === after) return units.flatMap((unit, i) => replaced([unit], eachAlone[i] as string));
  const byPattern = normalizer.config?.type === 'Replace' ? replacedBy(units, normalizer.config, after) : null;
  if (byPattern !== null) return byPattern;
  const kept = before.indexOf(after);
  if (kept >= 0) return units.filter((unit, i) => inside(units, i, kept, kept + after.length) && unit.text !== '');
  if (after.endsWith(before)) return [...replaced(units.slice(0, 1), after.slice(0, -before.length)), ...units];
  const graphemes = together(units);
  const grouped = graphemes.map((group) => normalizer(textOf(group)));
  const place = /^NFK?C$/.test(`${normalizer.config?.type}`) ? composed : replaced;
  if (grouped.join('') === after) return graphemes.flatMap((group, i) => place(group, grouped[i] as string));
  return resynchronized(units, after);
}

/** What replacing a pattern gives: new characters have the place of the last one that they stand for. Null if unsure. */
function replacedBy(units: readonly Unit[], { pattern, content }: Part, after: string): Unit[] | null {
  const { Regex: regex, String: literal } = pattern as { Regex?: string; String?: string };
  const source = regex ?? (literal as string).replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
  if (typeof content !== 'string' || content.includes('$') || /\\[Az]/.test(source)) return null;
  const byPlace = units.flatMap((unit) => Array.from({ length: unit.text.length }, () => unit));
  const result: Unit[] = [];
  let done = 0;
  for (const { index, 0: found } of textOf(units).matchAll(new RegExp(source, 'gu'))) {
    if (found === '') return null;
    result.push(...new Set(byPlace.slice(done, index)));
    done = index + found.length;
    const place = byPlace[done - 1] as Unit;
    result.push(...Array.from(content, (text) => ({ ...place, text })));
  }
  result.push(...new Set(byPlace.slice(done)));
  return textOf(result) === after ? result : null;
}

function inside(units: readonly Unit[], i: number, from: number, to: number): boolean {
  const start = units.slice(0, i).reduce((sum, { text }) => sum + text.length, 0);
  return start >= from && start < to;
}

/** Graphemes: letters with their marks. */
function together(units: readonly Unit[]): Unit[][] {
  const segments = new Intl.Segmenter('en', { granularity: 'grapheme' }).segment(textOf(units));
  let next = 0;
  return Array.from(segments, ({ segment }) => {
    const { length } = Array.from(segment);
    next += length;
    return units.slice(next - length, next);
  });
}

/** The characters of `text`, which stands for `group`: one by one, those beyond it in the place of the last. */
function replaced(group: readonly Unit[], text: string): Unit[] {
  if (group.length === 0) return [];
  return Array.from(text, (character, i) => {
    const { start, end } = group[Math.min(i, group.length - 1)] as Unit;
    return { text: character, start, end };
  });
}

/**
 * The same of what composing a grapheme gives. Each character takes the next place, and a place more for each mark that it was
 * composed with, wherever that stood.
 */
function composed(group: readonly Unit[], text: string): Unit[] {
  const decomposed = group.flatMap(({ text: own }) =>
    Array.from(own.normalize('NFKD'), (of, i) => ({ of, isNew: i > 0 })),
  );
  let next = 0;
  return Array.from(text, (character) => {
    const parts = Array.from(character.normalize('NFKD'), (of) => {
      const at = decomposed.findIndex((part) => part.of === of);
      return at < 0 ? undefined : decomposed.splice(at, 1)[0];
    });
    const taken = 1 - parts.reduce((sum, part, i) => sum + Number(part?.isNew ?? false) - Number(i > 0), 0);
    const { start, end } = group[Math.min(taken > 0 ? next : Math.max(0, next - 1), group.length - 1)] as Unit;
    next += taken;
    return { text: character, start, end };
  });
}

/** Characters that are the same keep their places; others have that of the last one that they stand for. */
function resynchronized(units: readonly Unit[], after: string): Unit[] {
  const characters = Array.from(after);
  const result: Unit[] = [];
  let at = 0;
  const same = (i: number, j: number) => units[i]?.text === characters[j];
  for (let i = 0; i < characters.length; ) {
    if (same(at, i)) {
      result.push(units[at++] as Unit);
      i++;
      continue;
    }
    const [skipped, added] = nextMatch((a, b) => same(at + a, i + b), units.length - at, characters.length - i);
    const place = (units[Math.min(units.length, at + skipped) - 1] ?? units[0]) as Unit;
    for (let n = 0; n < added; n++) result.push({ ...place, text: characters[i + n] as string });
    at += skipped;
    i += added;
  }
  return result;
}

/** The nearest place from which both go on alike. */
function nextMatch(same: (a: number, b: number) => boolean, most: number, others: number): [number, number] {
  for (let distance = 1; distance <= most + others; distance++) {
    for (let b = Math.min(distance, others); b >= 0; b--) {
      const a = distance - b;
      if (a <= most && ((a === most && b === others) || (same(a, b) && (same(a + 1, b + 1) || a + 1 >= most))))
        return [a, b];
    }
  }
  return [most, others];
}

/** Each character in the names of its bytes. */
function inBytes(units: readonly Unit[]): Unit[] {
  const encoder = new TextEncoder();
  return units.flatMap(({ text, start, end }) =>
    Array.from(encoder.encode(text), (byte) => ({ text: BYTE_NAMES[byte] as string, start, end })),
  );
}

const SPACE = /\p{White_Space}/u;
const SPACES = new Set([' ', '▁', 'Ġ']);
const isSame = (unit: Unit | undefined, character: string) =>
  unit !== undefined && (unit.text === character || (SPACES.has(unit.text) && SPACES.has(character)));

/** The units of pieces, which follow each other, with gaps. A space before a piece may have been put there. */
function placed(pieces: readonly string[], units: readonly Unit[]): Unit[][] {
  let at = 0;
  return pieces.map((piece, i) => {
    const characters = Array.from(piece);
    if (i === 0 && characters.length === 1 && SPACES.has(piece) && !isSame(units[0], piece))
      return units.slice(0, 1).map((unit) => ({ ...unit, text: piece }));
    const rest = SPACES.has(characters[0] as string) ? characters.slice(1) : [];
    for (let start = at; start < units.length; start++) {
      for (const own of [characters, rest]) {
        if (own.length === 0 || !own.every((character, i) => isSame(units[start + i], character))) continue;
        at = start + own.length;
        const found = units.slice(start, at).map((unit, i) => ({ ...unit, text: own[i] as string }));
        return own === characters ? found : [{ ...(found[0] as Unit), text: characters[0] as string }, ...found];
      }
    }
    throw new SimdformerError(`the place of ${JSON.stringify(piece)} in the text is not known`);
  });
}

/** The tokens of a piece, each with its part of it. */
function split(tokens: readonly string[], piece: readonly Unit[], model: TokenizerJson['model']) {
  const type = typeOf(model);
  const unknown = type === 'Unigram' ? undefined : model.unk_token;
  const { end_of_word_suffix: suffix, continuing_subword_prefix: given } = model as unknown as Part;
  const prefix = type === 'WordPiece' ? ((given as string | undefined) ?? '##') : '';
  const charactersOf = (i: number): string[] | null => {
    const token = tokens[i] as string;
    if (token === unknown) return null;
    const inner = i > 0 && prefix && token.startsWith(prefix) ? token.slice(prefix.length) : token.replace(/^\0/, '');
    return Array.from(i === tokens.length - 1 && suffix ? inner.replace(suffix as string, '') : inner);
  };
  const fits = (i: number, at: number) => charactersOf(i)?.every((each, n) => isSame(piece[at + n], each)) ?? false;
  const isByte = (i: number) => /^<0x[\dA-F]{2}>$/.test(tokens[i] ?? '');
  const bytesAt = (at: number) => new TextEncoder().encode(piece[at]?.text ?? '').length;
  let at = 0;
  let bytes = 0;
  let run: readonly Unit[] = []; // what so many bytes are of
  return tokens.map((token, i) => {
    const start = at;
    if (bytes === 0 && fits(i, at)) at += (charactersOf(i) as string[]).length;
    else if (isByte(i) && type === 'Unigram') {
      // Characters without a token are one, and each of its bytes is of all of them.
      if (bytes === 0) {
        while (isByte(i + bytes)) bytes++;
        for (let left = bytes; left > 0 && at < piece.length; at++) left -= bytesAt(at);
        run = piece.slice(start, at);
      }
      bytes--;
      return { token, text: token, start: run[0]?.start ?? 0, end: run.at(-1)?.end ?? 0 };
    } else if (isByte(i)) {
      if (++bytes >= bytesAt(at)) [at, bytes] = [at + 1, 0];
    } else {
      at++; // text without a token: up to where the next one fits
      while (at < piece.length && !(i + 1 < tokens.length && (tokens[i + 1] === unknown || fits(i + 1, at)))) at++;
    }
    const units = piece.slice(start, Math.max(at, start + 1));
    return { token, text: token, start: units[0]?.start ?? 0, end: units.at(-1)?.end ?? 0 };
  });
}

/** Whether a step of this type is there. */
function hasPart(part: unknown, type: string): boolean {
  if (typeof part !== 'object' || part === null) return false;
  const { type: own, pretokenizers = [] } = part as { type?: unknown; pretokenizers?: unknown[] };
  return own === type || pretokenizers.some((each) => hasPart(each, type));
}
