// The texts that a command is to read: its arguments, or standard input.

import { ArgumentError } from '../core/errors.js';
import { decodeText } from './data.js';
import { linesOf } from './lines.js';

/** A text that somebody gave. */
export interface GivenText {
  /** The name of the text in errors. */
  readonly name: string;
  /** True for a line of standard input. */
  readonly isLine: boolean;
  /** Throws ArgumentError if it is no text. */
  read(): string;
}

/** Lines of standard input that are worked on together. */
const TOGETHER = 256;

/**
 * The texts given as arguments, or the lines of standard input as they come: 256 at a time, from a terminal each by
 * itself. Empty lines are left out.
 */
export async function* givenTexts(texts: readonly string[]): AsyncGenerator<readonly GivenText[]> {
  if (texts.length > 0) {
    const name = (i: number) => (texts.length > 1 ? `text ${i + 1}` : 'the text');
    return yield texts.map((text, i) => ({ name: name(i), isLine: false, read: () => text }));
  }
  const { isTTY } = process.stdin;
  if (isTTY) console.error('Reading lines; Ctrl-D ends them.');
  let number = 0;
  let filled = 0;
  let together: GivenText[] = [];
  for await (const bytes of linesOf(process.stdin)) {
    const name = `line ${++number}`;
    if (bytes.length === 0) continue;
    filled++;
    together.push({ name, isLine: true, read: () => decodeText('it', bytes) });
    if (together.length < (isTTY ? 1 : TOGETHER)) continue;
    yield together;
    together = [];
  }
  if (filled === 0) throw new ArgumentError('there is no text: give it as arguments or on standard input');
  if (together.length > 0) yield together;
}
