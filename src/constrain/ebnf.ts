// Grammars as text, in the extended Backus–Naur form of llama.cpp (GBNF):
//
//   root   ::= "yes" | "no" | number            # a rule has a name; the whole text is a `root`
//   number ::= "-"? [0-9]+ ("." [0-9]{1,3})?    # sequences, choices, groups, * + ? {n} {n,} {n,m}
//   any    ::= .                                # any character
//
// Texts have the escapes of JSON, \xNN and \UNNNNNNNN. Sets like [a-z0-9_] and [^"\\] have the same escapes. GBNF's
// tokens, <[1000]> and <think>, are refused: a grammar describes text.

import { FormatError } from '../core/errors.js';
import {
  ANY,
  complement,
  type Expression,
  type Grammar,
  LAST,
  oneOf,
  type Ranges,
  repeat,
  rule,
  set,
  text,
} from './expression.js';

const TOKEN =
  /\s+|#[^\n]*|([\w-]+)(\s*::=)?|("(?:[^"\\]|\\[\s\S])*")|(\[(?:[^\]\\]|\\[\s\S])*\])|(\{\s*\d+\s*(?:,\s*\d*\s*)?\})|([|()*+?.])/y;
/** A token of the vocabulary in GBNF, by its id or its text. */
const VOCABULARY_TOKEN = /^!?<[^<>\n]+>/;

interface Lexeme {
  readonly kind: 'define' | 'name' | 'text' | 'set' | 'count' | 'sign';
  readonly value: string;
  readonly line: number;
}

/** Limits of a grammar, in characters and in nested groups. */
const MAX_LENGTH = 2 ** 15;
const MAX_DEPTH = 200;
/** The least and the greatest number of repetitions. */
const COUNTS_OF_SIGNS: Readonly<Record<string, [min: number, max: number]>> = {
  '*': [0, Number.POSITIVE_INFINITY],
  '+': [1, Number.POSITIVE_INFINITY],
  '?': [0, 1],
};

/** Reads a grammar. Throws FormatError, with the line, if `source` is too long or is not a grammar. */
export function ebnf(source: string): Grammar {
  if (source.length > MAX_LENGTH)
    throw new FormatError(`grammar: it has ${source.length} characters, expected at most ${MAX_LENGTH}`);
  const reader = new EbnfReader(lexemes(source));
  const rules = new Map<string, Expression>();
  while (!reader.isDone) {
    const [name, expression] = reader.rule();
    if (rules.has(name)) throw new FormatError(`grammar: two rules have the name '${name}'`);
    rules.set(name, expression);
  }
  if (!rules.has('root')) throw new FormatError("grammar: there is no rule 'root'");
  return { rules, root: 'root' };
}

function lexemes(source: string): Lexeme[] {
  const found: Lexeme[] = [];
  let [position, line] = [0, 1];
  while (position < source.length) {
    TOKEN.lastIndex = position;
    const match = TOKEN.exec(source);
    if (match === null && VOCABULARY_TOKEN.test(source.slice(position, position + 256)))
      throw new FormatError(
        `grammar, line ${line}: tokens such as ${source.slice(position).split('>', 1)}> are not supported, expected text in quotes`,
      );
    if (match === null)
      throw new FormatError(
        `grammar, line ${line}: ${JSON.stringify(source.slice(position, position + 20))} is not part of a grammar`,
      );
    const [all, name, defines, quoted, bracketed, counted, sign] = match;
    const kinds = { text: quoted, set: bracketed, count: counted, sign } as const;
    if (name !== undefined) found.push({ kind: defines === undefined ? 'name' : 'define', value: name, line });
    for (const [kind, value] of Object.entries(kinds))
      if (value !== undefined) found.push({ kind: kind as Lexeme['kind'], value, line });
    line += all.split('\n').length - 1;
    position += all.length;
  }
  return found;
}

class EbnfReader {
  #position = 0;
  #depth = 0;

  constructor(private readonly lexemes: readonly Lexeme[]) {}

  get isDone(): boolean {
    return this.#position === this.lexemes.length;
  }

  rule(): [string, Expression] {
    const { kind, value } = this.#next();
    if (kind !== 'define') throw this.#error(`'${value}' is not a rule, expected name ::= …`);
    return [value, this.#choice()];
  }

  #choice(): Expression {
    const options = [this.#sequence()];
    while (this.#isSign('|')) {
      this.#position++;
      options.push(this.#sequence());
    }
    return options.length === 1 ? (options[0] as Expression) : oneOf(options);
  }

  #sequence(): Expression {
    const parts: Expression[] = [];
    while (!this.isDone && this.#peek()?.kind !== 'define' && !this.#isSign('|') && !this.#isSign(')'))
      parts.push(this.#repeated());
    return { kind: 'sequence', parts };
  }

  #repeated(): Expression {
    let expression = this.#atom();
    for (let depth = 0; ; depth++) {
      if (depth > MAX_DEPTH) throw this.#error(`more than ${MAX_DEPTH} repetitions follow each other`);
      const counts = this.#counts();
      if (counts === null) return expression;
      expression = repeat(expression, ...counts);
      this.#position++;
    }
  }

  /** The least and the greatest number of repetitions that the next lexeme demands. Null if it demands none. */
  #counts(): [min: number, max: number] | null {
    const next = this.#peek();
    if (next?.kind === 'sign') return COUNTS_OF_SIGNS[next.value] ?? null;
    if (next?.kind !== 'count') return null;
    const [from, to] = next.value.slice(1, -1).split(',');
    const min = Number(from);
    const max = to === undefined ? min : to === '' ? Number.POSITIVE_INFINITY : Number(to);
    if (min > max) throw this.#error(`${next.value} has a maximum below its minimum`);
    return [min, max];
  }

  #atom(): Expression {
    const { kind, value } = this.#next();
    if (kind === 'name') return rule(value);
    if (kind === 'text')
      return text(
        characters(value.slice(1, -1))
          .map(({ character }) => character)
          .join(''),
      );
    if (kind === 'set') {
      const ranges = rangesOf(value.slice(1, -1));
      if (ranges === null) throw this.#error(`a range of ${value} ends before it begins`);
      return set(...ranges);
    }
    if (value === '.') return set(...ANY);
    if (value !== '(') throw this.#error(`'${value}' is not an expression`);
    if (++this.#depth > MAX_DEPTH) throw this.#error(`groups are nested more than ${MAX_DEPTH} levels deep`);
    const inner = this.#choice();
    this.#depth--;
    if (!this.#isSign(')')) throw this.#error('a parenthesis is not closed');
    this.#position++;
    return inner;
  }

  #peek(): Lexeme | undefined {
    return this.lexemes[this.#position];
  }

  #next(): Lexeme {
    const next = this.lexemes[this.#position++];
    if (next === undefined) throw this.#error('the grammar ends within a rule');
    return next;
  }

  #isSign(sign: string): boolean {
    const next = this.#peek();
    return next?.kind === 'sign' && next.value === sign;
  }

  #error(what: string): FormatError {
    const { line } = this.lexemes[Math.min(this.#position, this.lexemes.length) - 1] ?? { line: 1 };
    return new FormatError(`grammar, line ${line}: ${what}`);
  }
}

interface Character {
  readonly character: string;
  readonly isEscaped: boolean;
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', f: '\f' };

function characters(source: string): Character[] {
  const pattern =
    /\\x([0-9a-fA-F]{2})|\\u([0-9a-fA-F]{4})|\\u\{([0-9a-fA-F]{1,6})\}|\\U([0-9a-fA-F]{8})|\\([\s\S])|([\s\S])/gu;
  return [...source.matchAll(pattern)].map(([, byte, unit, point, long, letter, plain]) => {
    const code = byte ?? unit ?? point ?? long;
    if (code !== undefined) return { character: characterOf(Number.parseInt(code, 16)), isEscaped: true };
    if (letter !== undefined) return { character: ESCAPES[letter] ?? letter, isEscaped: true };
    return { character: plain as string, isEscaped: false };
  });
}

function characterOf(code: number): string {
  if (code <= LAST) return String.fromCodePoint(code);
  throw new FormatError(`grammar: there is no character ${code.toString(16)}, expected at most ${LAST.toString(16)}`);
}

/** The ranges of a set without its brackets; null if one ends before it begins. */
function rangesOf(source: string): Ranges | null {
  const isNegated = source.startsWith('^');
  const list = characters(isNegated ? source.slice(1) : source);
  const pointOf = ({ character }: Character) => character.codePointAt(0) as number;
  const ranges: [number, number][] = [];
  for (let i = 0; i < list.length; i++) {
    const first = list[i] as Character;
    const [dash, last] = [list[i + 1], list[i + 2]];
    if (dash?.character === '-' && !dash.isEscaped && last !== undefined) {
      ranges.push([pointOf(first), pointOf(last)]);
      i += 2;
    } else ranges.push([pointOf(first), pointOf(first)]);
  }
  if (ranges.some(([first, last]) => first > last)) return null;
  return isNegated ? complement(ranges) : ranges;
}
