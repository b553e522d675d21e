/**
 * Names of the 256 bytes in vocabularies (as in GPT-2). Printable bytes are named by their Latin-1 characters. The
 * other bytes are named by the characters from U+0100 on, in order.
 */
export const BYTE_NAMES: readonly string[] = (() => {
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => {
    const printable = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad);
    return String.fromCharCode(printable ? byte : next++);
  });
})();

/** The step of a tokenizer.json that writes text as byte names and reads it back. */
export const BYTE_LEVEL = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false } as const;

/**
 * GPT-2's pattern of words, within which pairs are merged: contractions; letters, digits or other signs with an
 * optional space before; white space. The pattern lists white space explicitly, because `\s` differs between dialects
 * of regular expressions.
 */
export const GPT2_WORDS =
  "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\p{White_Space}\\p{L}\\p{N}]+" +
  '|\\p{White_Space}+(?!\\P{White_Space})|\\p{White_Space}+';

const encoder = new TextEncoder();

/** Tokens for the bytes of a text in SentencePiece's vocabularies, such as <0xE2>. */
export function byteTokens(text: string): string[] {
  return Array.from(encoder.encode(text), (byte) => `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`);
}
