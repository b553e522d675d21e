// Splits tokens into words, with the results of openai-whisper and transformers.

/** The part of a tokenizer that is needed here. */
export interface Decoder {
  decode(ids: Iterable<number>): string;
}

/** A word, and the range of its tokens: from `first` to before `end`. */
export interface Word {
  readonly text: string;
  readonly first: number;
  readonly end: number;
}

/** Replacement character: stands for bytes that are not a complete character. */
const INCOMPLETE = '\ufffd';
const PUNCTUATION = '!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~';
/** `OPENING` marks belong to the next word, `CLOSING` marks to the previous one. */
const OPENING = '"\'“¡¿([{-';
const CLOSING = '"\'.。,，!！?？:：”)]}、';

/**
 * Returns the words of a text, which are separated by spaces. If `spaces` is false, each complete character is a word.
 */
export function wordsOf(tokenizer: Decoder, tokens: readonly number[], spaces: boolean): Word[] {
  const pieces = completePieces(tokenizer, tokens);
  return withPunctuation(spaces ? joined(pieces) : pieces);
}

/** Splits tokens into the shortest runs that decode to complete characters. */
function completePieces(tokenizer: Decoder, tokens: readonly number[]): Word[] {
  const whole = tokenizer.decode(tokens);
  const pieces: Word[] = [];
  let first = 0;
  let offset = 0;
  for (let end = 1; end <= tokens.length; end++) {
    const text = tokenizer.decode(tokens.slice(first, end));
    const broken = text.indexOf(INCOMPLETE);
    // The text itself may contain the replacement character.
    if (broken >= 0 && offset + broken < whole.length && whole[offset + broken] !== INCOMPLETE) continue;
    pieces.push({ text, first, end });
    first = end;
    offset += text.length;
  }
  return pieces;
}

/** Joins pieces to words. A piece that begins with a space, or is a punctuation mark, begins a new word. */
function joined(pieces: readonly Word[]): Word[] {
  const words: Word[] = [];
  for (const piece of pieces) {
    const before = words.at(-1);
    const isApart = piece.text.startsWith(' ') || PUNCTUATION.includes(piece.text.trim());
    if (before === undefined || isApart) words.push(piece);
    else words[words.length - 1] = joinedWord(before, piece);
  }
  return words;
}

/** Joins opening marks to the next word, closing marks to the previous one. */
function withPunctuation(words: readonly Word[]): Word[] {
  const opened: Word[] = [];
  for (const word of words.toReversed()) {
    const next = opened.at(-1);
    const opens = word.text.startsWith(' ') && OPENING.includes(word.text.trim());
    if (next && opens) opened[opened.length - 1] = joinedWord(word, next);
    else opened.push(word);
  }
  const closed: Word[] = [];
  for (const word of opened.toReversed()) {
    const before = closed.at(-1);
    if (before && !before.text.endsWith(' ') && CLOSING.includes(word.text))
      closed[closed.length - 1] = joinedWord(before, word);
    else closed.push(word);
  }
  return closed;
}

function joinedWord(a: Word, b: Word): Word {
  return { text: a.text + b.text, first: a.first, end: b.end };
}
