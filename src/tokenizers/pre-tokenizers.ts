// Pre-tokenizers of a tokenizer.json: they split text into words, which the tokenizer's model gets.

import type { AlignedText, SplitBehavior } from './aligned-text.js';
import { GPT2_WORDS } from './byte-level.js';
import { nameBytes, patternOf, prepend, replace } from './normalizers.js';
import { literally, oniguruma, spansOf } from './oniguruma.js';
import { type Part, partsOf, refuseTokenizer, textOf } from './part.js';
import { PUNCTUATION, WORD_IN_RUST } from './unicode-tables.js';

/** Splits a part of a text into parts that are not empty. */
export type PreTokenizer = (part: AlignedText) => AlignedText[];

/** Makes the pre-tokenizer of a tokenizer.json. Throws FormatError for an unknown one. */
export function preTokenizerOf(part: unknown): PreTokenizer {
  const steps = partsOf(part, 'pretokenizers').map(stepOf);
  return (whole) => steps.reduce((parts, step) => parts.flatMap(step), [whole]);
}

const WHITE_SPACE = /\p{White_Space}/gu;
const WORDS = new RegExp(`[${WORD_IN_RUST}]+|[^${WORD_IN_RUST}\\p{White_Space}]+`, 'gv');
const DIGIT = /\p{N}/gu;

function stepOf(part: Part): PreTokenizer {
  switch (part.type) {
    case 'BertPreTokenizer':
      return (text) =>
        text.split(spansOf(WHITE_SPACE, text.text), 'Removed').flatMap(splitter(PUNCTUATION, 'Isolated'));
    case 'ByteLevel':
      return byteLevel(part);
    case 'CharDelimiterSplit':
    case 'Delimiter':
      return splitter(literally(textOf(part, 'delimiter')), 'Removed');
    case 'Digits':
      return splitter(DIGIT, part.individual_digits ? 'Isolated' : 'Contiguous');
    case 'FixedLength':
      return splitter(new RegExp(`[\\s\\S]{1,${part.length ?? 5}}`, 'gu'), 'Isolated');
    case 'Metaspace':
      return metaspace(part);
    case 'Punctuation':
      return splitter(PUNCTUATION, behaviorOf(part.behavior ?? 'Isolated'));
    case 'Split':
      return splitter(patternOf(part), behaviorOf(part.behavior), part.invert === true);
    case 'Whitespace':
      return splitter(WORDS, 'Removed', true);
    case 'WhitespaceSplit':
      return splitter(WHITE_SPACE, 'Removed');
    default:
      return refuseTokenizer(`a pre_tokenizer of type ${JSON.stringify(part.type)}`);
  }
}

function splitter(pattern: RegExp, behavior: SplitBehavior, inverted = false): PreTokenizer {
  return (text) => text.split(spansOf(pattern, text.text), behavior, inverted);
}

const BEHAVIORS = ['Removed', 'Isolated', 'MergedWithPrevious', 'MergedWithNext', 'Contiguous'];

function behaviorOf(behavior: unknown): SplitBehavior {
  if (BEHAVIORS.includes(behavior as string)) return behavior as SplitBehavior;
  return refuseTokenizer(
    `the behavior ${JSON.stringify(behavior)} in its pre_tokenizer, expected one of ${BEHAVIORS.join(', ')}`,
  );
}

function byteLevel({ add_prefix_space: prefixed = true, use_regex: splits = true }: Part): PreTokenizer {
  const split = splits ? splitter(oniguruma(GPT2_WORDS), 'Isolated') : (text: AlignedText) => [text];
  return (text) => {
    if (prefixed && !text.text.startsWith(' ')) prepend(text, ' ');
    const parts = split(text);
    parts.forEach(nameBytes);
    return parts;
  };
}

const SPACE = literally(' ');

function metaspace(part: Part): PreTokenizer {
  const { replacement = '▁', add_prefix_space: prefixed = true, split = true } = part;
  const mark = replacement as string;
  const scheme = prefixed === false ? 'never' : (part.prepend_scheme ?? 'always');
  const isMark = literally(mark);
  return (text) => {
    replace(text, SPACE, mark);
    const isPrepended = scheme === 'always' || (scheme === 'first' && text.start === 0);
    if (isPrepended && !text.text.startsWith(mark)) prepend(text, mark);
    return split ? text.split(spansOf(isMark, text.text), 'MergedWithNext') : [text];
  };
}
