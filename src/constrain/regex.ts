// Regular expressions of JavaScript, with the flag u, as expressions.

import {
  ANY,
  complement,
  type Expression,
  LAST,
  oneOf,
  type Ranges,
  rangeOf,
  repeat,
  sequence,
  text,
} from './expression.js';
import { ResponseFormatError } from './format-error.js';

/** A pattern as an expression. */
export interface Pattern {
  readonly expression: Expression;
  /** True if the expression contains lookaheads, which only `automaton.ts` understands. */
  readonly hasLookaheads: boolean;
}

/** An alternative, and whether it is anchored at the text's start and end. */
interface Branch {
  readonly expression: Expression;
  readonly atStart: boolean;
  readonly atEnd: boolean;
}

const DIGIT: Ranges = [[0x30, 0x39]];
const WORD: Ranges = [
  [0x30, 0x39],
  [0x41, 0x5a],
  [0x5f, 0x5f],
  [0x61, 0x7a],
];
const SPACE: Ranges = [
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
];
const NEWLINE: Ranges = [
  [0x0a, 0x0a],
  [0x0d, 0x0d],
  [0x2028, 0x2029],
];
const DOT = complement(NEWLINE);
const CLASSES: ReadonlyMap<string, Ranges> = new Map<string, Ranges>([
  ['d', DIGIT],
  ['D', complement(DIGIT)],
  ['w', WORD],
  ['W', complement(WORD)],
  ['s', SPACE],
  ['S', complement(SPACE)],
]);
const CONTROLS: ReadonlyMap<string, number> = new Map([
  ['t', 9],
  ['n', 10],
  ['v', 11],
  ['f', 12],
  ['r', 13],
  ['0', 0],
]);
const ANYTHING = repeat({ kind: 'set', ranges: ANY }, 0);

/** The largest count of a counted repetition: its states are written out. */
const MAX_REPEATS = 10_000;
/** Limits of a pattern, in UTF-16 code units and in nested groups. They are checked before any other work. */
const MAX_PATTERN_LENGTH = 2 ** 15;
const MAX_PATTERN_DEPTH = 200;

const COUNTS = /\{(\d+)(,?)(\d*)\}/y;
const CODE =
  /x([0-9a-fA-F]{2})|u\{([0-9a-fA-F]+)\}|u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})|u([0-9a-fA-F]{4})/y;
const GROUP = /\?(?::|<(?![=!])[^>]*>|(=|!|<=|<!)|)/y;

/**
 * The texts that a regular expression matches from start to end, or with `search` the texts that contain a match.
 * Throws ResponseFormatError for patterns that are too long or not supported, such as back references.
 */
export function regex(pattern: string, { search = false } = {}): Pattern {
  if (pattern.length > MAX_PATTERN_LENGTH)
    throw new ResponseFormatError(
      `a pattern has ${pattern.length} characters, expected at most ${MAX_PATTERN_LENGTH}: split it, or use enum or choices`,
    );
  checkDepth(pattern);
  try {
    new RegExp(pattern, 'u');
  } catch (cause) {
    throw new ResponseFormatError(shortened((cause as Error).message), { cause });
  }
  const reader = new RegexReader(pattern);
  const branches = reader.read().map(({ expression, atStart, atEnd }) => {
    if (!search) return expression;
    return sequence(...(atStart ? [] : [ANYTHING]), expression, ...(atEnd ? [] : [ANYTHING]));
  });
  return { expression: oneOf(branches), hasLookaheads: reader.hasLookaheads };
}

/** A message may quote the pattern. */
function shortened(message: string): string {
  return message.length > 300 ? `${message.slice(0, 200)}…${message.slice(-80)}` : message;
}

/** Refuses deep nesting before a recursive reader meets it, V8's own included. */
function checkDepth(pattern: string): void {
  let depth = 0;
  let isClass = false;
  for (let index = 0; index < pattern.length; index++) {
    const character = pattern[index];
    if (character === '\\') index++;
    else if (isClass) isClass = character !== ']';
    else if (character === '[') isClass = true;
    else if (character === ')') depth--;
    else if (character === '(' && ++depth > MAX_PATTERN_DEPTH)
      throw new ResponseFormatError(`a pattern nests groups more than ${MAX_PATTERN_DEPTH} levels deep`);
  }
}

/** Reads a pattern that is known to be valid. */
class RegexReader {
  hasLookaheads = false;
  /** Offset of the next character, in UTF-16 code units. */
  #position = 0;

  constructor(private readonly pattern: string) {}

  read(): Branch[] {
    const branches = this.#branches();
    if (this.#position < this.pattern.length) this.#refuse('$ before the end');
    return branches;
  }

  #branches(): Branch[] {
    const branches = [this.#branch()];
    while (this.#take('|')) branches.push(this.#branch());
    return branches;
  }

  #branch(): Branch {
    const atStart = this.#take('^');
    const expression = this.#sequence();
    return { expression, atStart, atEnd: this.#take('$') };
  }

  #sequence(): Expression {
    const parts: Expression[] = [];
    let literal = '';
    const endLiteral = () => {
      if (literal !== '') parts.push(text(literal));
      literal = '';
    };
    for (let next = this.#peek(); next !== undefined && !'|)$'.includes(next); next = this.#peek()) {
      const part = this.#repeated();
      if (part.kind === 'text') literal += part.text;
      else {
        endLiteral();
        parts.push(part);
      }
    }
    endLiteral();
    return parts.length === 1 ? (parts[0] as Expression) : { kind: 'sequence', parts };
  }

  #repeated(): Expression {
    const of = this.#atom();
    const counts = this.#counts();
    if (counts === null) return of;
    this.#take('?'); // a lazy repetition matches the same texts
    const [min, max] = counts;
    if (min > MAX_REPEATS || (Number.isFinite(max) && max > MAX_REPEATS))
      this.#refuse(`more than ${MAX_REPEATS} repetitions`);
    return repeat(of, min, max);
  }

  #counts(): [number, number] | null {
    if (this.#take('*')) return [0, Number.POSITIVE_INFINITY];
    if (this.#take('+')) return [1, Number.POSITIVE_INFINITY];
    if (this.#take('?')) return [0, 1];
    const counted = this.#match(COUNTS);
    if (counted === null) return null;
    const [, from, comma, to] = counted;
    const min = Number(from);
    if (comma === '') return [min, min];
    return [min, to === '' ? Number.POSITIVE_INFINITY : Math.min(Number(to), Number.MAX_SAFE_INTEGER)];
  }

  #atom(): Expression {
    const next = this.#next();
    switch (next) {
      case '(':
        return this.#group();
      case '[':
        return { kind: 'set', ranges: this.#class() };
      case '.':
        return { kind: 'set', ranges: DOT };
      case '\\':
        return character(this.#escape());
      case '^':
        return this.#refuse('^ after the start');
      default:
        return character([rangeOf(next)]);
    }
  }

  #group(): Expression {
    const prefix = this.#match(GROUP);
    if (prefix?.[0] === '?') this.#refuse('modifiers');
    const ahead = prefix?.[1];
    if (ahead === '<=' || ahead === '<!') this.#refuse('lookbehind assertions');
    if (ahead !== undefined) return this.#lookahead(ahead === '!');
    const options = [this.#sequence()];
    while (this.#take('|')) options.push(this.#sequence());
    if (!this.#take(')')) this.#refuse('$ before the end');
    return options.length === 1 && options[0]?.kind !== 'text' ? (options[0] as Expression) : oneOf(options);
  }

  /** A lookahead is a prefix of the rest, unless it ends with $. */
  #lookahead(isNegated: boolean): Expression {
    this.hasLookaheads = true;
    const branches = this.#branches().map(({ expression, atStart, atEnd }) => {
      if (atStart) this.#refuse('^ after the start');
      return atEnd ? expression : sequence(expression, ANYTHING);
    });
    if (!this.#take(')')) this.#refuse('$ before the end');
    return { kind: 'lookahead', of: oneOf(branches), isNegated };
  }

  #class(): Ranges {
    const isNegated = this.#take('^');
    const ranges: (readonly [number, number])[] = [];
    while (!this.#take(']')) {
      const first = this.#classAtom();
      const isRange = this.#peek() === '-' && this.pattern[this.#position + 1] !== ']' && isPoint(first);
      if (!isRange) ranges.push(...first);
      else {
        this.#position++;
        const last = this.#classAtom();
        ranges.push([(first[0] as readonly [number, number])[0], (last[0] as readonly [number, number])[1]]);
      }
    }
    return isNegated ? complement(ranges) : ranges;
  }

  #classAtom(): Ranges {
    const next = this.#next();
    if (next !== '\\') return [rangeOf(next)];
    return this.#take('b') ? [[8, 8]] : this.#escape();
  }

  #escape(): Ranges {
    const code = this.#match(CODE);
    if (code) return pointOf(code);
    const next = this.#next();
    const known = CLASSES.get(next);
    if (known) return known;
    const control = CONTROLS.get(next);
    if (control !== undefined) return [[control, control]];
    if (/[bBpPkc1-9]/.test(next)) this.#refuse(`\\${next}`);
    return [rangeOf(next)];
  }

  #peek(): string | undefined {
    return this.pattern[this.#position];
  }

  /** The next code point. */
  #next(): string {
    const point = String.fromCodePoint(this.pattern.codePointAt(this.#position) as number);
    this.#position += point.length;
    return point;
  }

  /** Matches a sticky expression at the current position. */
  #match(sticky: RegExp): RegExpExecArray | null {
    sticky.lastIndex = this.#position;
    const found = sticky.exec(this.pattern);
    if (found) this.#position += found[0].length;
    return found;
  }

  #take(wanted: string): boolean {
    if (this.#peek() !== wanted) return false;
    this.#position++;
    return true;
  }

  #refuse(what: string): never {
    const shown = this.pattern.length > 200 ? `${this.pattern.slice(0, 200)}…` : this.pattern;
    throw new ResponseFormatError(`the pattern ${JSON.stringify(shown)} has ${what}, which is not supported`);
  }
}

function pointOf([, byte, point, high, low, unit]: RegExpExecArray): Ranges {
  if (high !== undefined && low !== undefined)
    return [rangeOf(String.fromCharCode(Number.parseInt(high, 16), Number.parseInt(low, 16)))];
  const value = Number.parseInt((byte ?? point ?? unit) as string, 16);
  return [[value, value]];
}

/** A single character as text, so that neighbours join. No valid text contains half of a surrogate pair. */
function character(ranges: Ranges): Expression {
  const [first, last] = ranges[0] as readonly [number, number];
  const isText = ranges.length === 1 && first === last && !(first >= 0xd800 && first <= 0xdfff) && first <= LAST;
  return isText ? text(String.fromCodePoint(first)) : { kind: 'set', ranges };
}

function isPoint(ranges: Ranges): boolean {
  return ranges.length === 1 && ranges[0]?.[0] === ranges[0]?.[1];
}
