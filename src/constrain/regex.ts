// Regular expressions of JavaScript, with the flag u, as expressions.

import { ArgumentError } from '../core/errors.js';
import { choice, complement, type Expression, LAST, type Ranges, repeat, sequence, set } from './expression.js';

/** A regular expression that was read, and where it is bound to the text's beginning or end. */
interface Branch {
  readonly expression: Expression;
  readonly atStart: boolean;
  readonly atEnd: boolean;
}

const ANY: Ranges = [[0, LAST]];
const DIGIT: Ranges = [[0x30, 0x39]];
const WORD: Ranges = [
  [0x30, 0x39],
  [0x41, 0x5a],
  [0x5f, 0x5f],
  [0x61, 0x7a],
];
const SPACE: Ranges = [
  ...([
    [0x09, 0x0d],
    [0x20, 0x20],
    [0xa0, 0xa0],
    [0x1680, 0x1680],
    [0x2000, 0x200a],
  ] as Ranges),
  ...([
    [0x2028, 0x2029],
    [0x202f, 0x202f],
    [0x205f, 0x205f],
    [0x3000, 0x3000],
    [0xfeff, 0xfeff],
  ] as Ranges),
];
const NEWLINE: Ranges = [
  [0x0a, 0x0a],
  [0x0d, 0x0d],
  [0x2028, 0x2029],
];

/** Repetitions at most that are counted: they are written out. */
const MOST_REPEATS = 10_000;

/**
 * The texts that a regular expression matches: as a whole, or with `search` those that it matches somewhere in. Throws
 * ArgumentError, naming it, for what is no regular language (assertions, references) and what is not supported.
 */
export function regex(pattern: string, { search = false } = {}): Expression {
  try {
    new RegExp(pattern, 'u');
  } catch (cause) {
    throw new ArgumentError(`responseFormat: ${(cause as Error).message}`, { cause });
  }
  const anything = repeat(set(...ANY), 0);
  const branches = new RegexReader(pattern).read().map(({ expression, atStart, atEnd }) => {
    if (!search) return expression;
    return sequence(...(atStart ? [] : [anything]), expression, ...(atEnd ? [] : [anything]));
  });
  return choice(...branches);
}

class RegexReader {
  #at = 0;
  readonly #points: readonly string[];

  constructor(private readonly pattern: string) {
    this.#points = [...pattern];
  }

  read(): Branch[] {
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
    for (let next = this.#peek(); next !== undefined && !'|)$'.includes(next); next = this.#peek())
      parts.push(this.#repeated());
    return sequence(...parts);
  }

  #repeated(): Expression {
    const of = this.#atom();
    const counts = this.#counts();
    if (counts === null) return of;
    this.#take('?'); // the same texts, whichever is found first
    const [min, max] = counts;
    if (Number.isFinite(max) && max > MOST_REPEATS) this.#refuse(`more than ${MOST_REPEATS} repetitions`);
    return repeat(of, min, max);
  }

  #counts(): [number, number] | null {
    if (this.#take('*')) return [0, Number.POSITIVE_INFINITY];
    if (this.#take('+')) return [1, Number.POSITIVE_INFINITY];
    if (this.#take('?')) return [0, 1];
    const counted = /^\{(\d+)(,?)(\d*)\}/.exec(this.#rest());
    if (counted === null) return null;
    this.#at += counted[0].length;
    const min = Number(counted[1]);
    if (min > MOST_REPEATS) this.#refuse(`more than ${MOST_REPEATS} repetitions`);
    if (counted[2] === '') return [min, min];
    return [min, counted[3] === '' ? Number.POSITIVE_INFINITY : Number(counted[3])];
  }

  #atom(): Expression {
    const next = this.#points[this.#at++] as string;
    switch (next) {
      case '(':
        return this.#group();
      case '[':
        return set(...this.#class());
      case '.':
        return set(...complement(NEWLINE));
      case '\\':
        return set(...this.#escape());
      case '^':
        return this.#refuse('^ elsewhere than at the beginning');
      default: {
        const point = next.codePointAt(0) as number;
        return set([point, point]);
      }
    }
  }

  #group(): Expression {
    const begin = this.#rest();
    if (/^\?(=|!|<=|<!)/.test(begin)) this.#refuse('assertions');
    if (begin.startsWith('?:')) this.#at += 2;
    else if (begin.startsWith('?<')) this.#at += begin.indexOf('>') + 1;
    else if (begin.startsWith('?')) this.#refuse('modifiers');
    const options = [this.#sequence()];
    while (this.#take('|')) options.push(this.#sequence());
    if (!this.#take(')')) this.#refuse('$ elsewhere than at the end');
    return choice(...options);
  }

  #class(): Ranges {
    const isNegated = this.#take('^');
    const ranges: (readonly [number, number])[] = [];
    while (!this.#take(']')) {
      const first = this.#classAtom();
      const isRange = this.#peek() === '-' && this.#points[this.#at + 1] !== ']' && isPoint(first);
      if (!isRange) ranges.push(...first);
      else {
        this.#at++;
        const last = this.#classAtom();
        ranges.push([(first[0] as readonly [number, number])[0], (last[0] as readonly [number, number])[1]]);
      }
    }
    return isNegated ? complement(ranges) : ranges;
  }

  #classAtom(): Ranges {
    const next = this.#points[this.#at++] as string;
    if (next === '\\') return this.#peek() === 'b' ? this.#after(1, [[8, 8]]) : this.#escape();
    const point = next.codePointAt(0) as number;
    return [[point, point]];
  }

  #escape(): Ranges {
    const next = this.#points[this.#at++] as string;
    const simple: Readonly<Record<string, Ranges>> = {
      ...{ d: DIGIT, D: complement(DIGIT), w: WORD, W: complement(WORD), s: SPACE, S: complement(SPACE) },
      ...{ t: [[9, 9]], n: [[10, 10]], v: [[11, 11]], f: [[12, 12]], r: [[13, 13]], 0: [[0, 0]] },
    };
    const known = simple[next];
    if (known) return known;
    const code = /^(?:x([0-9a-fA-F]{2})|u\{([0-9a-fA-F]+)\}|u([0-9a-fA-F]{4}))/.exec(next + this.#rest());
    if (code) {
      this.#at += code[0].length - 1;
      const point = Number.parseInt(code.slice(1).find((digits) => digits !== undefined) as string, 16);
      return [[point, point]];
    }
    if (/[bBpPkc1-9]/.test(next)) this.#refuse(`\\${next}`);
    const point = next.codePointAt(0) as number;
    return [[point, point]];
  }

  #after<T>(count: number, value: T): T {
    this.#at += count;
    return value;
  }

  #peek(): string | undefined {
    return this.#points[this.#at];
  }

  #rest(): string {
    return this.#points.slice(this.#at).join('');
  }

  #take(wanted: string): boolean {
    if (this.#peek() !== wanted) return false;
    this.#at++;
    return true;
  }

  #refuse(what: string): never {
    throw new ArgumentError(
      `responseFormat: the pattern ${JSON.stringify(this.pattern)} has ${what}, which is not supported`,
    );
  }
}

function isPoint(ranges: Ranges): boolean {
  return ranges.length === 1 && ranges[0]?.[0] === ranges[0]?.[1];
}
