/**
 * How bytes are written in vocabularies: printable ones of Latin-1 as themselves, the others as the characters from
 * U+0100 on, in order (as GPT-2 does).
 */
export const BYTE_NAMES: readonly string[] = (() => {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
    return String.fromCharCode(printable ? byte : next++);
  });
})();

/** What writes text as these names, and reads it back. */
export const BYTE_LEVEL = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false } as const;

/**
 * The words that merges stay within: contractions, letters, digits or other signs with a space before, white space
 * (GPT-2). `\s` is another set in every dialect of regular expressions.
 */
export const GPT2_WORDS =
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\p{White_Space}\\p{L}\\p{N}]+" +
  '|\\p{White_Space}+(?!\\P{White_Space})|\\p{White_Space}+';

const encoder = new TextEncoder();

/** The tokens that vocabularies of SentencePiece have for the bytes of a text, as <0xE2>. */
export function byteTokens(text: string): string[] {
  return Array.from(encoder.encode(text), (byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
}
