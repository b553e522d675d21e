// Texts that a command reads: its arguments, or standard input.

import { addAbortSignal } from 'node:stream';
import { ArgumentError } from '../core/errors.js';
import { decodeText } from './data.js';
import { linesOf } from './lines.js';

/** A text of the user. */
export interface InputText {
  /** Name of the text in error messages. */
  readonly name: string;
  /** True for a line of standard input. */
  readonly isLine: boolean;
  /** Throws ArgumentError if it is not text. */
  read(): string;
}

/** Number of lines of standard input that are processed together. */
const BATCH_SIZE = 256;

/**
 * Yields the arguments, or lines of standard input: 256 at a time, or single lines from a terminal. Empty lines are
 * skipped. The signal ends the wait for a line.
 */
export async function* inputTexts(
  texts: readonly string[],
  signal?: AbortSignal,
): AsyncGenerator<readonly InputText[]> {
  if (texts.length > 0) {
    const name = (i: number) => (texts.length > 1 ? `text ${i + 1}` : 'the text');
    return yield texts.map((text, i) => ({ name: name(i), isLine: false, read: () => text }));
  }
  const { isTTY } = process.stdin;
  if (isTTY) console.error('Reading lines; Ctrl-D ends them.');
  let number = 0;
  let textCount = 0;
  let batch: InputText[] = [];
  for await (const bytes of linesOf(signal ? addAbortSignal(signal, process.stdin) : process.stdin)) {
    const name = `line ${++number}`;
    if (bytes.length === 0) continue;
    textCount++;
    batch.push({ name, isLine: true, read: () => decodeText('it', bytes) });
    if (batch.length < (isTTY ? 1 : BATCH_SIZE)) continue;
    yield batch;
    batch = [];
  }
  if (textCount === 0) throw new ArgumentError('there is no text: give texts as arguments or on standard input');
  if (batch.length > 0) yield batch;
}
