// Parses JSON in slices. Otherwise a vocabulary of some megabytes would block the event loop for a tenth of a second.

import { inSlices } from './slices.js';

/** Length in UTF-16 units above which a value is parsed in parts, and length of the parts. */
const PART_LENGTH = 1 << 16;

/** Depth at which values are parsed as a whole, because each level of splitting scans the text again. */
const MAX_DEPTH = 8;

/** Number of characters that are scanned before a pause. */
const SCANNED_A_SLICE = 1 << 18;

/**
 * Like `JSON.parse`, but a long text is parsed in slices, and the event loop runs in between. Rejects with SyntaxError.
 */
export async function parseJsonAsync(text: string): Promise<unknown> {
  if (text.length <= PART_LENGTH) return JSON.parse(text);
  try {
    return await inSlices(new LongJson(text).whole());
  } catch (error) {
    if (error instanceof SyntaxError) return JSON.parse(text); // throws an error with the position in the whole text
    throw error;
  }
}

/** Splits long objects and arrays into runs of members, and lets `JSON.parse` read the runs. */
class LongJson {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  *whole(): Generator<undefined, unknown> {
    const start = this.#afterSpace(0);
    const end = yield* this.#endOf(start);
    if (this.#afterSpace(end) < this.#text.length) throw new SyntaxError('text after the value');
    return yield* this.#value(start, end, 0);
  }

  *#value(start: number, end: number, depth: number): Generator<undefined, unknown> {
    const isList = this.#text[start] === '[';
    const isLong = end - start > PART_LENGTH && depth < MAX_DEPTH;
    if (!isLong || !(isList || this.#text[start] === '{')) return this.#parse(start, end);
    const found: Record<string | number, unknown> | unknown[] = isList ? [] : {};
    let run = start + 1; // start of the members that were scanned but not parsed
    for (let position = run; ; ) {
      const member = this.#afterSpace(position);
      const first = isList ? member : this.#afterColon(yield* this.#endOf(member));
      const last = yield* this.#endOf(first);
      const next = this.#afterSpace(last);
      const isEnd = next === end - 1;
      if (!isEnd && this.#text[next] !== ',') throw new SyntaxError('a comma is missing');
      if (last - first > PART_LENGTH) {
        if (run < position) this.#addRun(found, run, position - 1);
        const value = yield* this.#value(first, last, depth + 1);
        if (Array.isArray(found)) found.push(value);
        else define(found, this.#parse(member, yield* this.#endOf(member)) as string, value);
        run = next + 1;
      } else if (isEnd || next - run > PART_LENGTH) {
        this.#addRun(found, run, next);
        run = next + 1;
        yield;
      }
      if (isEnd) return found;
      position = next + 1;
    }
  }

  /** Parses the members between two positions and adds them. */
  #addRun(found: Record<string, unknown> | unknown[], start: number, end: number): void {
    const members = this.#text.slice(start, end);
    if (members.trim() === '') throw new SyntaxError('a member is missing');
    if (Array.isArray(found)) for (const value of JSON.parse(`[${members}]`)) found.push(value);
    else for (const [name, value] of Object.entries(JSON.parse(`{${members}}`))) define(found, name, value);
  }

  #parse(start: number, end: number): unknown {
    return JSON.parse(this.#text.slice(start, end));
  }

  #afterSpace(position: number): number {
    while (SPACES.has(this.#text.charCodeAt(position))) position++;
    return position;
  }

  #afterColon(end: number): number {
    const colon = this.#afterSpace(end);
    if (this.#text[colon] !== ':') throw new SyntaxError('a colon is missing');
    return this.#afterSpace(colon + 1);
  }

  /** Returns the end of the value that begins at `start`. It looks only at brackets and strings. */
  *#endOf(start: number): Generator<undefined, number> {
    const text = this.#text;
    let depth = 0;
    let pause = start + SCANNED_A_SLICE;
    for (let position = start; position < text.length; position++) {
      const code = text.charCodeAt(position);
      if (code === QUOTE) position = endOfString(text, position);
      else if (code === OPEN_BRACE || code === OPEN_BRACKET) depth++;
      else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) depth--;
      else if (depth === 0 && (code === COMMA || code === COLON || SPACES.has(code))) return position;
      if (depth < 0) return position;
      if (depth === 0 && code !== COMMA && ENDS.has(code)) return position + 1;
      if (position > pause) {
        yield;
        pause = position + SCANNED_A_SLICE;
      }
    }
    if (depth > 0) throw new SyntaxError('a bracket is open');
    return text.length;
  }
}

const [QUOTE, COMMA, COLON, BACKSLASH] = [0x22, 0x2c, 0x3a, 0x5c];
const [OPEN_BRACE, CLOSE_BRACE, OPEN_BRACKET, CLOSE_BRACKET] = [0x7b, 0x7d, 0x5b, 0x5d];
const SPACES = new Set([0x20, 0x09, 0x0a, 0x0d]);
/** Last characters of strings, objects and arrays. */
const ENDS = new Set([QUOTE, CLOSE_BRACE, CLOSE_BRACKET]);

/** Returns the position of the closing quote. */
function endOfString(text: string, start: number): number {
  for (let position = text.indexOf('"', start + 1); position >= 0; position = text.indexOf('"', position + 1)) {
    let slashes = 0;
    while (text.charCodeAt(position - 1 - slashes) === BACKSLASH) slashes++;
    if (slashes % 2 === 0) return position;
  }
  throw new SyntaxError('a string is open');
}

/** Like `object[name] = value`, but treats `__proto__` as an ordinary name. */
function define(object: Record<string, unknown>, name: string, value: unknown): void {
  if (name !== '__proto__') object[name] = value;
  else Object.defineProperty(object, name, { value, writable: true, enumerable: true, configurable: true });
}
