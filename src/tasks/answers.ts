// Finds the spans of a context that answer a question best.

import { softmax } from './scores.js';

/** A model's output for a part of a context: a number or position for each token of question and part. */
export interface ContextPart {
  readonly starts: Float32Array;
  readonly ends: Float32Array;
  /** Range of characters of the context, for each token. */
  readonly offsets: readonly (readonly [start: number, end: number])[];
  readonly wordIds: readonly (number | null)[];
  /** The first token of the context. */
  readonly first: number;
  readonly isSpecial: readonly number[];
}

export interface Answer {
  readonly answer: string;
  readonly score: number;
  readonly start: number;
  readonly end: number;
}

export interface AnswerLimits {
  /** Maximum number of answers. */
  readonly count: number;
  /** Maximum number of tokens of an answer. */
  readonly longest: number;
  readonly mayBeNone: boolean;
  readonly inWords: boolean;
}

interface Span {
  readonly first: number;
  readonly last: number;
  readonly score: number;
}

/** Returns the best answers of all parts. Answers that differ only in upper case are merged, and their scores added. */
export function answersOf(context: string, parts: readonly ContextPart[], limits: AnswerLimits): Answer[] {
  const characters = [...context];
  const found = new Map<string, Answer>();
  let none = Infinity;
  for (const part of parts) {
    // Several spans can extend to the same words and become one answer, so more spans than answers are kept.
    const { count, longest, inWords } = limits;
    const { spans, noAnswer } = bestSpans(part, { count: inWords ? 2 * count + 10 : count, longest });
    none = Math.min(none, noAnswer);
    for (const { first, last, score } of spans) {
      const [start, end] = sourceOf(part, first, last, limits.inWords);
      const answer = characters.slice(start, end).join('');
      const key = answer.toLowerCase();
      const same = found.get(key);
      found.set(key, same ? { ...same, score: same.score + score } : { answer, score, start, end });
    }
  }
  const answers = [...found.values()];
  if (limits.mayBeNone) answers.push({ answer: '', score: none, start: 0, end: 0 });
  return answers.sort((a, b) => b.score - a.score).slice(0, limits.count);
}

/** Returns the most likely spans, and the probability that there is no answer, which the first token represents. */
export function bestSpans(
  part: Pick<ContextPart, 'starts' | 'ends' | 'first' | 'isSpecial'>,
  { count, longest }: Pick<AnswerLimits, 'count' | 'longest'>,
): { spans: Span[]; noAnswer: number } {
  const isOpen = (i: number) => i === 0 || (i >= part.first && !part.isSpecial[i]);
  const open = (logits: Float32Array) => softmax(logits.map((logit, i) => (isOpen(i) ? logit : -Infinity)));
  const [starts, ends] = [open(part.starts), open(part.ends)] as [number[], number[]];
  const spans: Span[] = [];
  for (let first = Math.max(1, part.first); first < starts.length; first++) {
    for (let last = first; last < Math.min(first + longest, ends.length); last++) {
      if (isOpen(first) && isOpen(last))
        spans.push({ first, last, score: (starts[first] as number) * (ends[last] as number) });
    }
  }
  spans.sort((a, b) => b.score - a.score);
  return { spans: spans.slice(0, count), noAnswer: (starts[0] as number) * (ends[0] as number) };
}

/** Returns the range of characters from one token to another. If `inWords`, it is extended to whole words. */
function sourceOf({ offsets, wordIds, first: begin }: ContextPart, first: number, last: number, inWords: boolean) {
  let [from, to] = [first, last];
  const isSame = (a: number, b: number) => wordIds[a] !== null && wordIds[a] === wordIds[b];
  while (inWords && from > begin && isSame(from - 1, first)) from--;
  while (inWords && isSame(to + 1, last)) to++;
  return [offsets[from]?.[0] as number, offsets[to]?.[1] as number] as const;
}
