// Splits bytes into lines.

import { createReadStream } from 'node:fs';
import { withPath } from '../io/atomic-write.js';

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

/** Yields the lines of files in order, or of standard input if there are none. `-` means standard input. */
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
  }
}

/** A line, and its name in error messages. */
export interface NamedLine {
  readonly name: string;
  readonly bytes: Buffer;
}
