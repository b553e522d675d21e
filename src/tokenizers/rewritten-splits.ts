import { GPT2_WORDS } from './byte-level.js';
import { type Part, refuse, sequence } from './part.js';

/** Members of character classes. Letters, marks, digits and joiners, as `\w` is in Rust. */
export const WORD = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\u200c\\u200d';
/** Punctuation, as BERT has it; what Unicode calls so since version 9, which Rust's `tokenizers` does not. */
const SIGNS = '\\u166d\\x{111c9}\\p{P}!-/:-@\\[-`{-~';
const LATE_SIGNS =
  '\\u061d\\u09fd-\\u0a76\\u0c77-\\u0c84\\u1b4e-\\u1b4f\\u1b7d-\\u1b7f\\u2e43-\\u2e5d\\x{10d6e}-\\x{10f89}\\x{113d4}-\\x{1145d}\\x{11660}-\\x{116b9}\\x{1183b}-\\x{11fff}\\x{12ff1}-\\x{12ff2}\\x{16d6d}-\\x{16fe2}\\x{1e5ff}-\\x{1e95f}';
const SIGN = `(?![${LATE_SIGNS}])[${SIGNS}]`;

/** A pre-tokenizer in the form of which the engine gives what Hugging Face's `tokenizers` does. */
export function rewritePreTokenizer(part: Part, place: number): Part {
  switch (part.type) {
    case 'Split':
      return rewriteSplit(part);
    case 'Whitespace':
      return keep(`[${WORD}]+|[^\\s${WORD}]+`);
    case 'WhitespaceSplit':
      return keep('\\S+');
    case 'BertPreTokenizer':
      return keep(`${SIGN}|(?:[^\\s${SIGNS}]|[${LATE_SIGNS}])+`);
    case 'Punctuation':
      return splitAt(SIGN, part.behavior ?? 'Isolated');
    case 'Digits':
      return splitAt('\\p{N}', part.individual_digits ? 'Isolated' : 'Contiguous');
    case 'CharDelimiterSplit':
      return splitAt(escaped(part.delimiter), 'Removed');
    case 'FixedLength':
      return keep(`[\\s\\S]{1,${part.length ?? 5}}`);
    case 'Metaspace': {
      // The engine would put it before every piece.
      if (place > 0 && part.prepend_scheme === 'first')
        refuse('a Metaspace with prepend_scheme first after other splits');
      if (part.split === false) return part;
      return sequence('pretokenizers', part, splitAt(escaped(part.replacement ?? '▁'), 'MergedWithNext'));
    }
    case 'ByteLevel': {
      if (part.use_regex === false) return part;
      const space = { type: 'Replace', pattern: { Regex: '\\A[^ ][\\s\\S]*' }, content: ' $&' };
      const split = splitAt(GPT2_WORDS, 'Isolated');
      const bytes = { ...part, add_prefix_space: false, use_regex: false };
      return sequence('pretokenizers', ...(part.add_prefix_space ? [space] : []), split, bytes);
    }
    default:
      return part;
  }
}

/** The engine takes most behaviors for `Isolated`, and drops what an inverted pattern does not match. */
function rewriteSplit(part: Part): Part {
  const pattern = part.pattern as { String?: string; Regex?: string };
  const regex = pattern.Regex === undefined ? escaped(pattern.String) : withLongS(pattern.Regex);
  let { behavior } = part;
  if (part.invert) {
    // What matches and what does not change places.
    if (behavior === 'Removed') return keep(regex);
    if (behavior === 'MergedWithPrevious') behavior = 'MergedWithNext';
    else if (behavior === 'MergedWithNext') behavior = 'MergedWithPrevious';
  }
  if (behavior === 'Isolated') return splitAt(regex, behavior);
  if (/\\[1-9k]/.test(regex)) refuse(`a Split with ${behavior} at /${regex}/, which refers back`);
  if (behavior !== 'Removed' && matchesNothing(regex)) {
    refuse(`a Split with ${behavior} at /${regex}/, which matches where there is nothing`);
  }
  return splitAt(
    regex.replace(GROUP, (found) => (found.startsWith('(') ? '(?:' : found)),
    behavior,
  );
}

/** A group without regard to case takes ſ for an s, too (`'ſt` is a contraction), which the engine does for ASCII only. */
function withLongS(regex: string): string {
  return regex.replace(/\(\?i:[^()]*\)/g, (group) =>
    group.replace(/\\[pP]\{[^}]*\}|\\[\s\S]|\[\^?[a-z]*s[a-z]*\]|\[[^\]]*\]|s/gi, (found) => {
      if (/^s$/i.test(found)) return '[sſ]';
      return /^\[\^?[a-z]+\]$/i.test(found) ? found.replace(']', 'ſ]') : found;
    }),
  );
}

/** The begin of a group that captures, and what only looks like one. The engine would add to the text what it captures. */
const GROUP = /\\[\s\S]|\[(?:\\[\s\S]|\[:\^?\w+:\]|[^\]\\])+\]|\((?!\?)|\(\?<\w+>/g;

function splitAt(Regex: string, behavior: unknown): Part {
  const match = `(?:${Regex})`;
  const rest = `(?:(?!${match})[\\s\\S])+`;
  switch (behavior) {
    case 'Isolated':
    case 'Removed':
      return { type: 'Split', pattern: { Regex }, behavior, invert: false };
    case 'Contiguous':
      return keep(`${match}+|${rest}`);
    case 'MergedWithPrevious':
      return keep(`${rest}${match}?|${match}`);
    case 'MergedWithNext':
      return keep(`${match}(?:${rest})?|${rest}`);
    default:
      return refuse(`the behavior ${JSON.stringify(behavior)} in its pre_tokenizer`);
  }
}

/** A pre-tokenizer that keeps what matches, and leaves out the rest. */
function keep(Regex: string): Part {
  return { type: 'Split', pattern: { Regex }, behavior: 'Removed', invert: true };
}

function escaped(text: unknown): string {
  return (text as string).replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');
}

/** Found out with a few characters; where JavaScript does not know the syntax, it is not known. */
function matchesNothing(regex: string): boolean {
  try {
    return Array.from('aA1 .\n'.matchAll(new RegExp(regex, 'gu'))).some(([match]) => match === '');
  } catch {
    return false;
  }
}
