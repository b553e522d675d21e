// Splits texts into passages for embedding models.

import { checkText } from '../tokenizers/tokenizer.js';

/** A part of a text. Lines count from 1; `lastLine` is included. */
export interface Passage {
  readonly firstLine: number;
  readonly lastLine: number;
  readonly text: string;
}

/** Maximum number of characters of a passage: about 250 tokens, which most embedding models can read. */
const MAX_CHARACTERS = 1000;

/**
 * Cuts a text, such as Markdown or code, into passages for search. A passage has at most 1000 characters. It ends at an
 * empty line if it can, or else at a line's end. Longer lines are cut. Passages that would be empty are left out.
 */
export function splitPassages(text: string): Passage[] {
  checkText('splitPassages', text);
  const passages: Passage[] = [];
  let current: { firstLine: number; lastLine: number; lines: string[]; length: number } | null = null;
  const close = () => {
    const joined = current?.lines.join('\n').trim();
    if (current && joined) passages.push({ firstLine: current.firstLine, lastLine: current.lastLine, text: joined });
    current = null;
  };
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '') {
      // A paragraph that begins in the second half of a passage begins the next one.
      if ((current?.length ?? 0) > MAX_CHARACTERS / 2) close();
      else current?.lines.push('');
      continue;
    }
    for (const piece of piecesOf(line)) {
      if (current && current.length + piece.length > MAX_CHARACTERS) close();
      current ??= { firstLine: index + 1, lastLine: index + 1, lines: [], length: 0 };
      current.lines.push(piece);
      current.length += piece.length + 1;
      current.lastLine = index + 1;
    }
  }
  close();
  return passages;
}

/** A line, or its pieces if it is longer than a passage. */
function piecesOf(line: string): string[] {
  if (line.length <= MAX_CHARACTERS) return [line];
  const count = Math.ceil(line.length / MAX_CHARACTERS);
  return Array.from({ length: count }, (_, i) => line.slice(i * MAX_CHARACTERS, (i + 1) * MAX_CHARACTERS));
}
