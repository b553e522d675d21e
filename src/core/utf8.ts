/** A list of texts in UTF-8. Text i begins at `starts[i]` and ends `gap` bytes before `starts[i + 1]`. */
export interface TextBytes {
  readonly length: number;
  readonly bytes: Uint8Array;
  readonly starts: Uint32Array;
  readonly gap: number;
  /** Returns one text; undefined if there is no such index. Invalid UTF-8 becomes U+FFFD. */
  at(number: number): string | undefined;
}

const leniently = new TextDecoder('utf-8', { ignoreBOM: true });

/** Decodes bytes as UTF-8; invalid parts become U+FFFD. */
export function decodeText(bytes: Uint8Array, start: number, end: number): string {
  return shortText(bytes, start, end) ?? leniently.decode(bytes.subarray(start, end));
}

/**
 * Decodes a few characters of one to three bytes without the cost of a decoder call, as most tokens are short.
 * Undefined for other texts.
 */
function shortText(bytes: Uint8Array, start: number, end: number): string | undefined {
  if (end - start > 36) return undefined;
  let text = '';
  for (let offset = start; offset < end; ) {
    const code = codePointAt(bytes, offset, end);
    if (code < 0 || code > 0xffff) return undefined;
    text += String.fromCharCode(code);
    offset += widthOf(code);
  }
  return text;
}

const widthOf = (code: number) => (code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4);

/** Returns the code point that begins at `start`; -1 for invalid bytes. */
function codePointAt(bytes: Uint8Array, start: number, end: number): number {
  const first = bytes[start] as number;
  if (first < 0x80) return first;
  const width = first >> 5 === 6 ? 2 : first >> 4 === 14 ? 3 : first >> 3 === 30 ? 4 : 0;
  if (width === 0 || start + width > end) return -1;
  let code = first & (0x7f >> width);
  for (let offset = start + 1; offset < start + width; offset++) {
    const next = bytes[offset] as number;
    if (next >> 6 !== 2) return -1;
    code = (code << 6) | (next & 63);
  }
  // Overlong, a surrogate, or beyond the last code point.
  return widthOf(code) !== width || code >> 11 === 27 || code > 0x10ffff ? -1 : code;
}

/** Number of texts that are checked before a pause. */
const TEXTS_A_SLICE = 1 << 14;

/**
 * Copies the texts. A text that is empty or invalid UTF-8 is replaced by the result of `textOf`. Pauses after each
 * slice.
 */
export function* wellFormed(
  texts: TextBytes,
  textOf: (text: string, number: number) => string,
): Generator<undefined, TextBytes> {
  const { length, bytes, starts, gap } = texts;
  for (let i = 0; i < length; i++) {
    const end = (starts[i + 1] as number) - gap;
    let offset = starts[i] as number;
    if (offset === end) return written(texts, textOf);
    while (offset < end) {
      const code = codePointAt(bytes, offset, end);
      if (code < 0) return written(texts, textOf);
      offset += widthOf(code);
    }
    if (i % TEXTS_A_SLICE === TEXTS_A_SLICE - 1) yield;
  }
  return texts;
}

function written(texts: TextBytes, textOf: (text: string, number: number) => string): TextBytes {
  const { length } = texts;
  const encoder = new TextEncoder();
  const parts = Array.from({ length }, (_, i) => encoder.encode(textOf(texts.at(i) as string, i)));
  const starts = new Uint32Array(length + 1);
  for (const [i, part] of parts.entries()) starts[i + 1] = (starts[i] as number) + part.length;
  const bytes = new Uint8Array(starts[length] as number);
  for (const [i, part] of parts.entries()) bytes.set(part, starts[i]);
  const at = (i: number) => (parts[i] ? decodeText(bytes, starts[i] as number, starts[i + 1] as number) : undefined);
  return { length, bytes, starts, gap: 0, at };
}

/**
 * Writes the UTF-8 bytes of a text, at most three for each UTF-16 unit, and returns their number. A lone surrogate gets
 * three bytes, too.
 */
export function writeText(text: string, into: Uint8Array): number {
  let length = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.codePointAt(i) as number;
    if (code > 0xffff) i++;
    const width = widthOf(code);
    if (width === 1) {
      into[length++] = code;
      continue;
    }
    into[length++] = ((0xf00 >> width) & 0xff) | (code >> (6 * (width - 1)));
    for (let left = width - 2; left >= 0; left--) into[length++] = 0x80 | ((code >> (6 * left)) & 63);
  }
  return length;
}
