// BLEU (Papineni et al. 2002) as sacrebleu computes it.

import { checkOptions } from '../core/check.js';
import { checkPaired, REFERENCES, TEXTS } from './check.js';
import { splitWords, trimEnd } from './python-text.js';

export interface BleuOptions {
  /** '13a', the tokenization of mteval and sacrebleu's default; or 'none', words between white space. */
  tokenize?: '13a' | 'none' | undefined;
  /** True ignores case. Default: false. */
  lowercase?: boolean | undefined;
}

export interface BleuScore {
  /** From 0 to 100. */
  readonly score: number;
  /** The precisions of n-grams of 1 to 4 words, in percent. */
  readonly precisions: readonly number[];
  readonly brevityPenalty: number;
  /** Total number of words of the outputs, and of the references that are nearest in length. */
  readonly length: number;
  readonly referenceLength: number;
}

const ORDER = 4;

/**
 * BLEU of a corpus: the geometric mean of n-gram precisions, smoothed as in mteval ('exp'), times the brevity penalty.
 * `references` has one reference, or several, for each output. sacrebleu gives the same numbers. Throws ArgumentError
 * if there are no outputs, or not as many references as outputs.
 */
export function bleu(
  outputs: readonly string[],
  references: readonly (string | readonly string[])[],
  options: BleuOptions = {},
): BleuScore {
  checkPaired('bleu', { outputs, references }, TEXTS, REFERENCES);
  const kinds = { tokenize: ['13a', 'none'], lowercase: 'boolean' } as const;
  const { tokenize = '13a', lowercase = false } = checkOptions('bleu', options, kinds);
  const words = (text: string): string[] => {
    const line = lowercase ? text.toLowerCase() : text;
    return splitWords(tokenize === '13a' ? tokenize13a(line) : line);
  };
  const [matches, totals] = [new Array<number>(ORDER).fill(0), new Array<number>(ORDER).fill(0)];
  let [length, referenceLength] = [0, 0];
  outputs.forEach((text, i) => {
    const output = words(trimEnd(text));
    const all = [references[i] as string | readonly string[]].flat().map((reference) => words(trimEnd(reference)));
    length += output.length;
    referenceLength += nearestLength(output.length, all);
    for (let n = 1; n <= ORDER; n++) {
      const max = new Map<string, number>();
      for (const reference of all)
        for (const [gram, count] of grams(reference, n)) max.set(gram, Math.max(max.get(gram) ?? 0, count));
      for (const [gram, count] of grams(output, n)) {
        (matches[n - 1] as number) += Math.min(count, max.get(gram) ?? 0);
        (totals[n - 1] as number) += count;
      }
    }
  });
  const precisions = smoothed(matches, totals);
  const brevityPenalty = length >= referenceLength ? 1 : length === 0 ? 0 : Math.exp(1 - referenceLength / length);
  const mean = precisions.reduce((sum, precision) => sum + Math.log(precision), 0) / ORDER;
  return {
    score: precisions.includes(0) ? 0 : brevityPenalty * Math.exp(mean),
    precisions,
    brevityPenalty,
    length,
    referenceLength,
  };
}

/**
 * Precisions in percent. Without matches, half, a quarter … of one match count; 0 if outputs are too short for an
 * order.
 */
function smoothed(matches: readonly number[], totals: readonly number[]): number[] {
  if (matches.every((count) => count === 0)) return totals.map(() => 0);
  let smoothing = 1;
  return totals.map((total, i) => {
    if (total === 0) return 0;
    if (matches[i] === 0) {
      smoothing *= 2;
      return 100 / (smoothing * total);
    }
    return (100 * (matches[i] as number)) / total;
  });
}

function nearestLength(length: number, references: readonly (readonly string[])[]): number {
  const lengths = references.map((words) => words.length);
  return lengths.reduce((best, candidate) => {
    const [distance, other] = [Math.abs(candidate - length), Math.abs(best - length)];
    return distance < other || (distance === other && candidate < best) ? candidate : best;
  });
}

function grams(words: readonly string[], n: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (let i = 0; i + n <= words.length; i++) {
    const gram = words.slice(i, i + n).join(' ');
    counts.set(gram, (counts.get(gram) ?? 0) + 1);
  }
  return counts;
}

/** mteval-v13a's tokenization. */
function tokenize13a(line: string): string {
  let text = line.replaceAll('<skipped>', '').replaceAll('-\n', '').replaceAll('\n', ' ');
  text = text.replaceAll('&quot;', '"').replaceAll('&amp;', '&').replaceAll('&lt;', '<').replaceAll('&gt;', '>');
  return ` ${text} `
    .replace(/([{-~[-` -&(-+:-@/])/g, ' $1 ')
    .replace(/([^0-9])([.,])/g, '$1 $2 ')
    .replace(/([.,])([^0-9])/g, ' $1 $2')
    .replace(/([0-9])(-)/g, '$1 $2 ');
}
