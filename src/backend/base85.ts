// Bytes as text, for files of the package that are embedded in JavaScript. Base 85 is 6 % shorter than base64.

/** Code of the first digit, '#'. Quotation marks, which strings would escape, come before it. */
const FIRST = 35;
/** Code of 'x', which stands for the digit '\', because strings would escape that one. */
const BACKSLASH = 92;
const INSTEAD = 120;

/**
 * Decodes text of `toBase85` in scripts/bundle.mjs: five digits are the big-endian number of four bytes. The first
 * character is the number of bytes to drop at the end.
 */
export function fromBase85(text: string): Uint8Array<ArrayBuffer> {
  const words = new DataView(new ArrayBuffer(((text.length - 1) / 5) * 4));
  for (let position = 1, to = 0; to < words.byteLength; to += 4) {
    let word = 0;
    for (const end = position + 5; position < end; position++) {
      const code = text.charCodeAt(position);
      word = word * 85 + (code === INSTEAD ? BACKSLASH : code) - FIRST;
    }
    words.setUint32(to, word);
  }
  return new Uint8Array(words.buffer, 0, words.byteLength - Number(text[0]));
}
