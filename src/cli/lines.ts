// Splits bytes into lines.

import { constants, createReadStream } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { ArgumentError, FormatError } from '../core/errors.js';
import { isFolder, withPath } from '../io/atomic-write.js';
import { readWhole } from '../io/file.js';

const [LINE_FEED, CARRIAGE_RETURN] = [10, 13];

/** Yields lines without their ends. A last line without an end counts unless it is empty. */
export async function* linesOf(input: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, void> {
  let begun: Buffer[] = [];
  const line = (last: Buffer) => {
    const bytes = Buffer.concat([...begun, last]);
    begun = [];
    return bytes.at(-1) === CARRIAGE_RETURN ? bytes.subarray(0, -1) : bytes;
  };
  for await (const chunk of input) {
    let from = 0;
    for (let end = chunk.indexOf(LINE_FEED); end >= 0; end = chunk.indexOf(LINE_FEED, from)) {
      yield line(chunk.subarray(from, end));
      from = end + 1;
    }
    if (from < chunk.length) begun.push(chunk.subarray(from));
  }
  if (begun.length > 0) yield line(Buffer.alloc(0));
}

/**
 * Yields the lines of files in order, or of standard input if there are no files. `-` means standard input. Throws
 * ArgumentError if standard input ends without a line.
 */
export async function* linesOfFiles(paths: readonly string[]): AsyncGenerator<NamedLine, void, void> {
  for (const path of paths.length > 0 ? paths : ['-']) {
    const isInput = path === '-';
    if (isInput && process.stdin.isTTY) console.error('Reading lines; Ctrl-D ends them.');
    let number = 0;
    try {
      for await (const bytes of linesOf(isInput ? process.stdin : createReadStream(path)))
        yield { name: `line ${++number} of ${isInput ? 'standard input' : path}`, bytes };
    } catch (error) {
      throw withPath(error, path);
    }
    if (isInput && number === 0) throw new ArgumentError('standard input is empty: give lines on it, or files');
  }
}

/**
 * Throws the system's error if a file cannot be read. Commands call it first, because loading a model takes long and
 * results may be replaced. `-` means standard input.
 */
export async function checkReadable(paths: readonly string[]): Promise<void> {
  for (const path of paths) {
    if (path === '-') continue;
    await access(path, constants.R_OK);
    if ((await stat(path)).isDirectory()) throw isFolder(path);
  }
}

/** Runs work with a file. A FormatError of the work names the file. */
export async function withFile<Result>(path: string, work: (bytes: Buffer) => Promise<Result>): Promise<Result> {
  try {
    return await work(await readWhole(path));
  } catch (error) {
    throw error instanceof FormatError ? new FormatError(`${path}: ${error.message}`, { cause: error }) : error;
  }
}

/** A line, and its name in error messages. */
export interface NamedLine {
  readonly name: string;
  readonly bytes: Buffer;
}
