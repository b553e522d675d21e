// Unicode's normalization forms with the origin of each character, as in Rust's `tokenizers`. Characters newer than
// Rust's tables are neither marks nor compositions. V8's tables are used through String.normalize.

import type { Edit } from './aligned-text.js';
import { LATE_IN_FORMS } from './unicode-tables.js';

export type Form = 'NFC' | 'NFD' | 'NFKC' | 'NFKD';

/** Characters that a form may change. A character that composes changes the one before it. */
export const CHANGED_BY: Readonly<Record<Form, RegExp>> = {
  NFC: /[\0-\u02ff]?[\u0300-\u{10ffff}]+/gu,
  NFD: /[\xc0-\u{10ffff}]+/gu,
  NFKC: /[\0-\x9f]?[\xa0-\u{10ffff}]+/gu,
  NFKD: /[\xa0-\u{10ffff}]+/gu,
};

/** Marks and letters of Hangul, which compose with a character before them. */
const COMPOSING = /[\p{M}\u1160-\u11ff]/u;

/** True if a form may change a text. Nearly all texts stay unchanged. */
export function mayChange(text: string, form: Form): boolean {
  return COMPOSING.test(text) || text.normalize(form) !== text;
}

/** Converts a text to a form. */
export function inForm(text: string, form: Form): Edit {
  const decomposed = decomposition(text, form.includes('K') ? 'NFKD' : 'NFD');
  return form.endsWith('C') ? composition(decomposed) : decomposed;
}

function decomposition(text: string, form: 'NFD' | 'NFKD'): Edit {
  const characters: string[] = [];
  const changes: number[] = [];
  let marks = 0; // marks at the end, in the order of the text
  const endRun = () => {
    if (marks > 1) sortRun(characters, changes, characters.length - marks);
    marks = 0;
  };
  for (const character of text) {
    let change = 0;
    for (const part of partsOf(character, form)) {
      if (isMark(part)) marks++;
      else endRun();
      characters.push(part);
      changes.push(change);
      change = 1;
    }
  }
  endRun();
  return { characters, changes };
}

function partsOf(character: string, form: 'NFD' | 'NFKD'): string {
  return character <= '\x7f' || LATE_IN_FORMS.test(character) ? character : character.normalize(form);
}

/** Sorts marks by combining class. Marks of one class keep their order. */
function sortRun(characters: string[], changes: number[], from: number): void {
  const marks = characters.splice(from);
  const markChanges = changes.splice(from);
  const changesOf = new Map<string, number[]>(marks.map((mark) => [mark, []]));
  for (let i = marks.length - 1; i >= 0; i--) changesOf.get(marks[i] as string)?.push(markChanges[i] as number);
  for (const mark of marks.join('').normalize('NFD')) {
    characters.push(mark);
    changes.push(changesOf.get(mark)?.pop() as number);
  }
}

function composition({ characters, changes }: Edit): Edit {
  const result: { characters: string[]; changes: number[] } = { characters: [], changes: [] };
  let starter: readonly [character: string, change: number] | null = null;
  let marks: (readonly [character: string, change: number])[] = []; // marks that do not compose with the base
  const end = () => {
    for (const [character, change] of starter === null ? marks : [starter, ...marks]) {
      result.characters.push(character);
      result.changes.push(change);
    }
    marks = [];
  };
  for (const [i, character] of characters.entries()) {
    const change = changes[i] as number;
    const last = marks.at(-1)?.[0];
    const mark = isMark(character);
    const isBlocked = last !== undefined && (!mark || haveOneClass(last, character));
    const whole: string | null = starter === null || isBlocked ? null : composed(starter[0], character);
    if (starter !== null && whole !== null) starter = [whole, starter[1] + change - 1];
    else if (mark) {
      marks.push([character, change]);
      if (starter === null) end();
    } else {
      end();
      starter = [character, change];
    }
  }
  end();
  return result;
}

const wholes = new Map<string, string | null>();

/** Returns the composition of two characters, or null. */
function composed(first: string, second: string): string | null {
  if (second <= '\u02ff') return null;
  return remembered(wholes, first + second, (pair) => {
    if (LATE_IN_FORMS.test(first) || LATE_IN_FORMS.test(second)) return null;
    const whole = pair.normalize('NFC');
    return Array.from(whole).length > 1 || LATE_IN_FORMS.test(whole) ? null : whole;
  });
}

const marks = new Map<string, boolean>();

/**
 * True if the combining class is not 0. The test normalizes the character next to a mark of a low and one of a high
 * class.
 */
function isMark(character: string): boolean {
  if (character <= '\u02ff') return false;
  return remembered(marks, character, () => {
    if (LATE_IN_FORMS.test(character)) return false;
    return !(isInOrder(character, '\u0334') && isInOrder('\u0345', character));
  });
}

/** True if two consecutive marks have the same combining class. */
function haveOneClass(first: string, second: string): boolean {
  return isInOrder(second, first);
}

function isInOrder(first: string, second: string): boolean {
  return (first + second).normalize('NFD') === first + second;
}

const MAX_REMEMBERED = 1 << 14;

function remembered<T>(known: Map<string, T>, key: string, find: (key: string) => T): T {
  let value = known.get(key);
  if (value === undefined) {
    value = find(key);
    if (known.size >= MAX_REMEMBERED) known.clear();
    known.set(key, value);
  }
  return value;
}
