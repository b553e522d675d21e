import { CharTokenizer, type Tokenizer } from 'simdformer';
import { Random } from 'simdformer/nn';
import { WordTokenizer } from 'simdformer/tokenizers';
import type { Example } from 'simdformer/train';
import { Complaint, fetchFile } from '../model.js';

/** An input and its target. */
export interface Pair {
  readonly source: string;
  readonly target: string;
}

/** Pairs for training and pairs for testing. */
export interface Lesson {
  readonly train: readonly Pair[];
  readonly test: readonly Pair[];
  /** For words that occur more than once, every target counts as right. */
  readonly answers: ReadonlyMap<string, ReadonlySet<string>>;
  readonly source: Tokenizer;
  readonly target: Tokenizer;
}

/** Maximum number of letters, and of tokens of an answer. */
export const MAX_LETTERS = 46;
const MAX_PAIRS = 20_000;
const MIN_PAIRS = 20;
const TESTED = 200;
const special = { pad: '<pad>', bos: '<s>', eos: '</s>' };

/** The words that come with the page. */
export async function builtInPairs(): Promise<Pair[]> {
  return parsePairs(new TextDecoder().decode(await fetchFile('words.tsv')));
}

/**
 * Reads lines that have a word, a tab or space, and its answer. Throws Complaint, which names the line, for other
 * lines.
 */
export function parsePairs(text: string): Pair[] {
  const pairs: Pair[] = [];
  for (const [i, line] of text.split(/\r?\n/).entries()) {
    if (line.trim() === '') continue;
    const [, source, target] = /^\s*(\S+)\s+(\S.*?)\s*$/.exec(line) ?? [];
    if (source === undefined || target === undefined) {
      throw new Complaint(`Line ${i + 1}, “${shorten(line)}”, has no answer. Write a word, a space, and its answer.`);
    }
    if (Array.from(source).length > MAX_LETTERS || target.split(/\s+/).length > MAX_LETTERS) {
      throw new Complaint(
        `Line ${i + 1}, “${shorten(line)}”, is too long: at most ${MAX_LETTERS} letters and ${MAX_LETTERS} sounds are allowed.`,
      );
    }
    pairs.push({ source, target: target.replace(/\s+/g, ' ') });
  }
  if (pairs.length < MIN_PAIRS) {
    throw new Complaint(`${count(pairs.length)} to learn from are too few. Give ${MIN_PAIRS} or more.`);
  }
  if (pairs.length > MAX_PAIRS) {
    throw new Complaint(
      `${count(pairs.length)} are more than a page can teach. Give ${MAX_PAIRS.toLocaleString('en')} at most.`,
    );
  }
  return pairs;
}

/** Splits pairs by their words, the same way at each call, and makes tokenizers: of answers by words if they have spaces, else by letters. */
export function lessonOf(pairs: readonly Pair[], tokenizers: { source?: Tokenizer; target?: Tokenizer } = {}): Lesson {
  const targets = pairs.map(({ target }) => target);
  const spaced = targets.some((target) => target.includes(' '));
  const longest = Math.max(...targets.map((target) => (spaced ? target.split(' ') : Array.from(target)).length));
  if (longest > MAX_LETTERS)
    throw new Complaint(`An answer has ${longest} letters; ${MAX_LETTERS} are possible. Put spaces between its parts.`);
  const answers = new Map<string, Set<string>>();
  for (const { source, target } of pairs) answers.set(source, (answers.get(source) ?? new Set()).add(target));
  if (answers.size < MIN_PAIRS)
    throw new Complaint(`The pairs have too few different words: ${answers.size}. Give ${MIN_PAIRS} or more.`);
  const shuffled = new Random(1).shuffle([...pairs]);
  const tested = new Set<string>();
  const most = Math.min(TESTED, Math.ceil(answers.size / 10));
  for (const { source } of shuffled) if (tested.size < most) tested.add(source);
  return {
    train: shuffled.filter(({ source }) => !tested.has(source)),
    // A word with several answers is tested once.
    test: Array.from(tested, (source) => ({ source, target: [...(answers.get(source) as Set<string>)].join(' or ') })),
    answers,
    source:
      tokenizers.source ??
      CharTokenizer.train(
        pairs.map(({ source }) => source),
        { special },
      ),
    target: tokenizers.target ?? (spaced ? WordTokenizer : CharTokenizer).train(targets, { special }),
  };
}

/** Encodes pairs for training. Throws UnknownTokenError for characters that the tokenizers do not have. */
export function examplesOf({ train, source, target }: Lesson): Example[] {
  return train.map((pair) => ({
    source: source.encode(pair.source),
    target: target.encode(pair.target, { addSpecial: true }),
  }));
}

function shorten(line: string): string {
  const text = line.trim();
  return text.length > 40 ? `${text.slice(0, 40)}…` : text;
}

function count(pairs: number): string {
  return pairs === 1 ? '1 pair' : `${pairs.toLocaleString('en')} pairs`;
}
