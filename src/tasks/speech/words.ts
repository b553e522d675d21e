// Tokens → words, as openai-whisper and transformers cut them.

/** The part of a tokenizer that is needed here. */
export interface Decoder {
  decode(ids: Iterable<number>): string;
}

/** A word, and which of the tokens it has, the first and behind the last. */
export interface Word {
  readonly text: string;
  readonly first: number;
  readonly end: number;
}

/** Stands for bytes that are no character yet. */
const INCOMPLETE = '\ufffd';
const PUNCTUATION = '!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~';
/** Belong to the word behind them, and to the one before them. */
const OPENING = '"\'“¡¿([{-';
const CLOSING = '"\'.。,，!！?？:：”)]}、';

/** The words of a text, which are parted by spaces, or where `spaces` is false after each character that is complete. */
export function wordsOf(tokenizer: Decoder, tokens: readonly number[], spaces: boolean): Word[] {
  const pieces = completePieces(tokenizer, tokens);
  return withPunctuation(spaces ? joined(pieces) : pieces);
}

/** The fewest tokens in a row that are whole characters. */
function completePieces(tokenizer: Decoder, tokens: readonly number[]): Word[] {
  const whole = tokenizer.decode(tokens);
  const pieces: Word[] = [];
  let first = 0;
  let offset = 0;
  for (let end = 1; end <= tokens.length; end++) {
    const text = tokenizer.decode(tokens.slice(first, end));
    const broken = text.indexOf(INCOMPLETE);
    // The text itself may have the character that stands for what is incomplete.
    if (broken >= 0 && offset + broken < whole.length && whole[offset + broken] !== INCOMPLETE) continue;
    pieces.push({ text, first, end });
    first = end;
    offset += text.length;
  }
  return pieces;
}

/** Pieces up to the next one that begins with a space or is a mark. */
function joined(pieces: readonly Word[]): Word[] {
  const words: Word[] = [];
  for (const piece of pieces) {
    const before = words.at(-1);
    const isApart = piece.text.startsWith(' ') || PUNCTUATION.includes(piece.text.trim());
    if (before === undefined || isApart) words.push(piece);
    else words[words.length - 1] = together(before, piece);
  }
  return words;
}

/** Opening marks go to the word behind them, closing ones to the one before. */
function withPunctuation(words: readonly Word[]): Word[] {
  const opened: Word[] = [];
  for (const word of words.toReversed()) {
    const next = opened.at(-1);
    const opens = word.text.startsWith(' ') && OPENING.includes(word.text.trim());
    if (next && opens) opened[opened.length - 1] = together(word, next);
    else opened.push(word);
  }
  const closed: Word[] = [];
  for (const word of opened.toReversed()) {
    const before = closed.at(-1);
    if (before && !before.text.endsWith(' ') && CLOSING.includes(word.text))
      closed[closed.length - 1] = together(before, word);
    else closed.push(word);
  }
  return closed;
}

function together(a: Word, b: Word): Word {
  return { text: a.text + b.text, first: a.first, end: b.end };
}
