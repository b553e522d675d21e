// Python's white space, at which sacrebleu splits text. JavaScript's \s differs: it has U+FEFF, and lacks U+0085 and
// U+001C to U+001F.

const SPACE = '\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000';

const WORDS = new RegExp(`[^${SPACE}]+`, 'g');
const TRAILING = new RegExp(`[${SPACE}]+$`);

/** The words of a text, as Python's `text.split()`. */
export function splitWords(text: string): string[] {
  return text.match(WORDS) ?? [];
}

/** The text without white space at its end, as Python's `text.rstrip()`. */
export function trimEnd(text: string): string {
  return text.replace(TRAILING, '');
}
