// Translates regular expressions of Oniguruma, which Rust's `tokenizers` uses, to JavaScript's. They need the flag `v`,
// which allows nested sets and intersections.

import { FormatError } from '../core/errors.js';
import type { Span } from './aligned-text.js';
import { FRACTIONS, LATE, WORD_IN_ONIGURUMA as WORD } from './unicode-tables.js';

/** Translates a pattern. Throws FormatError for features that JavaScript lacks. */
export function oniguruma(pattern: string): RegExp {
  try {
    return new RegExp(new Translation(pattern).all(), 'gv');
  } catch (cause) {
    if (cause instanceof FormatError) throw cause;
    throw new FormatError(`the regular expression ${JSON.stringify(pattern)} is not supported`, { cause });
  }
}

/** A regular expression that matches a literal text. */
export function literally(text: string): RegExp {
  return new RegExp(Array.from(text, escaped).join(''), 'gv');
}

/** Returns all matches of a pattern with flag `g`. An empty match directly after another match is skipped. */
export function spansOf(pattern: RegExp, text: string): Span[] {
  const spans: Span[] = [];
  if (text === '') return spans;
  let last = -1;
  pattern.lastIndex = 0;
  for (let found = pattern.exec(text); found !== null; found = pattern.exec(text)) {
    const { index } = found;
    const end = index + found[0].length;
    if (end > index || index !== last) spans.push([index, end]);
    if (end === index) pattern.lastIndex = end + ((text.codePointAt(end) ?? 0) > 0xffff ? 2 : 1);
    last = end;
  }
  return spans;
}

function escaped(character: string): string {
  const code = character.codePointAt(0) as number;
  return /[a-z\d]/i.test(character) ? character : `\\u{${code.toString(16)}}`;
}

const ANY = '[\\s\\S]';
const START = `(?<!${ANY})`;
const END = `(?!${ANY})`;
const SPACE = '\\p{White_Space}';

/** Sets of escapes. Capital letters are the complements. */
const SETS: Readonly<Record<string, string>> = { d: known('Nd'), h: '0-9A-Fa-f', s: SPACE, w: WORD };

/** Names of sets that Unicode lacks or defines differently. */
const NAMED: Readonly<Record<string, string>> = {
  alnum: `${known('Alphabetic')}${known('Nd')}`,
  alpha: known('Alphabetic'),
  any: '\\s\\S',
  ascii: '\\x00-\\x7f',
  blank: '\\t\\p{Zs}',
  cntrl: '\\p{Cc}',
  digit: known('Nd'),
  graph: `[[^${SPACE}\\p{Cc}\\p{Cn}\\p{Cs}]--[${LATE}]]`,
  lower: known('Lowercase'),
  print: `[[[^${SPACE}\\p{Cc}\\p{Cn}\\p{Cs}]\\p{Zs}]--[${LATE}]]`,
  punct: `${known('P')}${known('S')}`,
  space: SPACE,
  upper: known('Uppercase'),
  word: WORD,
  xdigit: '0-9A-Fa-f',
};

/** Returns a Unicode property as Oniguruma's tables define it. For Oniguruma, ʕ is a lower-case letter. */
function known(property: string): string {
  if (/^(?:C|Cn|Other|Unassigned)$/.test(property)) return `\\p{${property}}${LATE}`;
  if (/^(?:Ll|Lowercase)/.test(property)) return `\\u0295[\\p{${property}}--[${LATE}]]`;
  return `[\\p{${property}}--[${LATE}${/^(?:Lo|Other_Letter)$/.test(property) ? '\\u0295' : ''}]]`;
}

const CHARACTERS: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  e: '\x1b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

/** Characters that are equal if case is ignored, in addition to those of `toLowerCase` and `toUpperCase`. */
const ALIKE: Readonly<Record<string, string>> = { s: 'ſ', S: 'ſ', k: '\u212a', K: '\u212a', å: '\u212b', Å: '\u212b' };

interface Flags {
  readonly ignoreCase: boolean;
  /** True if a dot also matches a line feed. */
  readonly dotAll: boolean;
  /** True if white space and comments in the pattern are ignored. */
  readonly extended: boolean;
}

/** Translates one pattern in a single pass. */
class Translation {
  #position = 0;
  /** Number of capturing groups: those of the pattern and those that emulate atomic groups. */
  #groups = 0;
  #atomic = 0;
  readonly #names = new Map<string, number>();
  #flags: Flags = { ignoreCase: false, dotAll: false, extended: false };

  constructor(private readonly pattern: string) {}

  all(): string {
    const whole = this.#alternatives();
    if (this.#position < this.pattern.length) this.#refuse();
    return whole;
  }

  /** Translates alternatives up to the end of a group. */
  #alternatives(): string {
    const flags = this.#flags;
    let text = '';
    while (this.#position < this.pattern.length && this.pattern[this.#position] !== ')') {
      if (this.#take('|')) text += '|';
      else text += this.#quantified();
    }
    this.#flags = flags;
    return text;
  }

  #quantified(): string {
    let atom = this.#atom();
    let isQuantified = false;
    for (;;) {
      const found = this.#match(/(?:[?*+]|\{(?:\d+(?:,\d*)?|,\d+)\})[?+]?/y);
      if (found === undefined) return atom;
      if (isQuantified) atom = `(?:${atom})`;
      const isInterval = found.startsWith('{');
      const [, interval = '', behind = ''] = /^(.[^?+]*)(.?)$/.exec(found.replace('{,', '{0,')) as RegExpExecArray;
      // After an interval, `+` is a further quantifier. `?` makes the interval lazy only if it has a comma.
      if (isInterval && (behind === '+' || !interval.includes(','))) atom = `(?:${atom}${interval})${behind}`;
      else atom = behind === '+' ? this.#once(atom + interval) : atom + interval + behind;
      isQuantified = true;
    }
  }

  /** Emulates an atomic group, into which matching never backtracks. */
  #once(text: string): string {
    const name = `a${++this.#atomic}`;
    return `(?:(?=(?<${name}>${text}))\\k<${name}>)`;
  }

  #atom(): string {
    if (this.#flags.extended && this.#match(/\s+|#[^\n]*/y) !== undefined) return '';
    const character = this.#next();
    switch (character) {
      case '(':
        return this.#group();
      case '[':
        return `[${this.#set()}]`;
      case '\\':
        return this.#escape();
      case '.':
        return this.#flags.dotAll ? ANY : '[^\\n]';
      case '^': // start of a line
        return `(?:${START}|(?<=\\n)(?=${ANY}))`;
      case '$':
        return `(?:(?=\\n)|${END})`;
      default:
        return this.#literal(character);
    }
  }

  #group(): string {
    const kind = this.#match(/\?(?:#[^)]*|[:=!>]|<[=!]|<\w+>|[imx]*(?:-[imx]*)?[:)])/y);
    if (kind === undefined) {
      if (this.pattern[this.#position] === '?') this.#refuse();
      return this.#closed(`(?<g${++this.#groups}>`);
    }
    if (kind.startsWith('?#')) return this.#closed('(?:'); // a comment becomes an empty group
    if (kind === '?>') {
      const text = this.#closed('');
      return this.#once(text.slice(0, -1));
    }
    if (/^\?<\w/.test(kind)) {
      this.#names.set(kind.slice(2, -1), ++this.#groups);
      return this.#closed(`(?<g${this.#groups}>`);
    }
    const flags = /^\?([imx]*)(?:-([imx]*))?[:)]$/.exec(kind);
    if (flags === null || kind === '?:') return this.#closed(`(${kind}`);
    const before = this.#flags;
    const isOn = (flag: string, was: boolean) => !flags[2]?.includes(flag) && (was || !!flags[1]?.includes(flag));
    this.#flags = {
      ignoreCase: isOn('i', before.ignoreCase),
      dotAll: isOn('m', before.dotAll),
      extended: isOn('x', before.extended),
    };
    if (kind.endsWith(')')) return `(?:${this.#alternatives()})`; // until the enclosing group ends
    const text = this.#closed('(?:');
    this.#flags = before;
    return text;
  }

  #closed(opening: string): string {
    const text = opening + this.#alternatives();
    if (!this.#take(')')) this.#refuse();
    return `${text})`;
  }

  #escape(): string {
    const reference = this.#match(/[1-9]\d?|k<\w+>/y)?.replace(/^k<|>$/g, '');
    if (reference !== undefined) return `\\k<g${this.#names.get(reference) ?? reference}>`;
    const letter = this.pattern[this.#position] as string;
    if (letter in EDGES) {
      this.#position++;
      return EDGES[letter] as string;
    }
    if (letter in CHARACTERS && letter !== 'b') {
      this.#position++;
      return escaped(CHARACTERS[letter] as string);
    }
    const word = this.#match(/[wW]/y);
    if (word !== undefined) return word === 'w' ? IN_WORD : NOT_IN_WORD;
    const set = this.#setEscape();
    return set === undefined ? this.#literal(this.#character()) : `[${set}]`;
  }

  /** An escape for several characters, as a member of a set. */
  #setEscape(): string | undefined {
    const property = this.#match(/[pP]\{\^?[\w ]+\}/y);
    if (property !== undefined) {
      const name = property.slice(2, -1).replace('^', '');
      return (property[0] === 'P') === property.includes('^') ? propertySet(name) : `[^${propertySet(name)}]`;
    }
    const letter = this.#match(/[dhswDHSW]/y);
    if (letter === undefined) return undefined;
    const set = SETS[letter.toLowerCase()] as string;
    return letter === letter.toLowerCase() ? set : `[^${set}]`;
  }

  /** A single character written as an escape. */
  #character(): string {
    const hex = this.#match(/x\{[\dA-Fa-f]+\}|x[\dA-Fa-f]{1,2}|u[\dA-Fa-f]{4}/y);
    if (hex !== undefined) return String.fromCodePoint(Number.parseInt(hex.replace(/[xu{}]/g, ''), 16));
    const letter = this.#next();
    if (letter in CHARACTERS) return CHARACTERS[letter] as string;
    if (/[a-z]/i.test(letter)) this.#refuse();
    return letter;
  }

  #literal(character: string): string {
    if (!this.#flags.ignoreCase) return escaped(character);
    const all = alike(character);
    return all.length === 1 ? escaped(character) : `[${all.map(escaped).join('')}]`;
  }

  /** Translates the content of the brackets of a set. */
  #set(): string {
    const negation = this.#take('^') ? '^' : '';
    const operands: string[] = [];
    let members = this.#take(']') ? escaped(']') : '';
    while (!this.#take(']')) {
      if (this.#position >= this.pattern.length) this.#refuse();
      if (this.#match(/&&/y) !== undefined) {
        operands.push(members);
        members = '';
      } else members += this.#member();
    }
    if (operands.length === 0) return negation + members;
    return negation + [...operands, members].map((operand) => `[${operand}]`).join('&&');
  }

  #member(): string {
    const posix = this.#match(/\[:\^?\w+:\]/y);
    if (posix !== undefined) {
      const set = NAMED[posix.slice(2, -2).replace('^', '').toLowerCase()] ?? this.#refuse();
      return posix.includes('^') ? `[^${set}]` : set;
    }
    if (this.#take('[')) return `[${this.#set()}]`;
    const first = this.#single();
    if (first.length !== 1) return first[1] as string;
    if (this.#match(/-(?=[^\]])/y) === undefined) return this.#range(first[0] as string, first[0] as string);
    const last = this.#single();
    if (last.length !== 1) return `${escaped(first[0] as string)}${escaped('-')}${last[1]}`;
    return this.#range(first[0] as string, last[0] as string);
  }

  /** A single character, or an empty text and a set. */
  #single(): [character: string] | ['', set: string] {
    if (!this.#take('\\')) return [this.#next()];
    const set = this.#setEscape();
    return set === undefined ? [this.#character()] : ['', set];
  }

  #range(first: string, last: string): string {
    const range = first === last ? escaped(first) : `${escaped(first)}-${escaped(last)}`;
    if (!this.#flags.ignoreCase) return range;
    const [from, to] = [first.codePointAt(0) as number, last.codePointAt(0) as number];
    if (to - from > MAX_FOLDED) return range;
    const all = Array.from({ length: to - from + 1 }, (_, i) => alike(String.fromCodePoint(from + i)));
    return range + [...new Set(all.flat())].map(escaped).join('');
  }

  #next(): string {
    const code = this.pattern.codePointAt(this.#position);
    if (code === undefined) return this.#refuse();
    const character = String.fromCodePoint(code);
    this.#position += character.length;
    return character;
  }

  #take(character: string): boolean {
    const isThere = this.pattern[this.#position] === character;
    if (isThere) this.#position++;
    return isThere;
  }

  #match(sticky: RegExp): string | undefined {
    sticky.lastIndex = this.#position;
    const found = sticky.exec(this.pattern)?.[0];
    if (found !== undefined) this.#position += found.length;
    return found;
  }

  #refuse(): never {
    const remaining = this.pattern.slice(this.#position, this.#position + 10);
    throw new FormatError(
      `the regular expression ${JSON.stringify(this.pattern)} is not supported, from ${JSON.stringify(remaining)} on`,
    );
  }
}

const MAX_FOLDED = 1 << 12;

const IN_WORD = `[${WORD}${FRACTIONS}]`;
const NOT_IN_WORD = `[^${WORD}${FRACTIONS}]`;
const EDGES: Readonly<Record<string, string>> = {
  A: START,
  z: END,
  Z: `(?=\\n?${END})`,
  b: `(?:(?<=${IN_WORD})(?!${IN_WORD})|(?<!${IN_WORD})(?=${IN_WORD}))`,
  B: `(?:(?<=${IN_WORD})(?=${IN_WORD})|(?<!${IN_WORD})(?!${IN_WORD}))`,
  N: '[^\\n]',
  O: ANY,
  R: '(?:\\r\\n|[\\n\\v\\f\\r\\u0085\\u2028\\u2029])',
};

function alike(character: string): string[] {
  const [lower, upper] = [character.toLowerCase(), character.toUpperCase()];
  const all = [character, lower, upper, ALIKE[character] ?? ''];
  return [...new Set(all)].filter((text) => Array.from(text).length === 1);
}

/** Returns a property by Oniguruma's name. Case, spaces and underscores are ignored. */
function propertySet(name: string): string {
  const plain = name.replace(/[ _]/g, '').toLowerCase();
  const named = plain === 'punct' ? known('P') : NAMED[plain];
  if (named !== undefined) return named;
  const words = name.replace(/ /g, '_');
  const capital = words.replace(/(?<![A-Za-z])[a-z]/g, (letter) => letter.toUpperCase());
  const forms = [words, capital, `Script=${words}`, `Script=${capital}`];
  const found = forms.find(isProperty);
  if (found === undefined) throw new FormatError(`the property ${JSON.stringify(name)} is not supported`);
  return known(found);
}

function isProperty(name: string): boolean {
  try {
    new RegExp(`\\p{${name}}`, 'v');
    return true;
  } catch {
    return false;
  }
}
