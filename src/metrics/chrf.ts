// chrF (Popović 2015) as sacrebleu computes it.

import { checkOptions } from '../core/check.js';
import { checkPaired, REFERENCES, TEXTS } from './check.js';
import { splitWords } from './python-text.js';

export interface ChrfOptions {
  /** Maximum length of n-grams of characters. Default: 6. */
  charOrder?: number | undefined;
  /** Maximum length of n-grams of words: 0 for chrF, 2 for chrF++. Default: 0. */
  wordOrder?: number | undefined;
  /** The weight of recall relative to precision. Default: 2. */
  beta?: number | undefined;
}

/** N-grams in outputs, in references, and in both. */
type Statistics = (readonly [output: number, reference: number, both: number])[];

/**
 * The F score of character n-grams over a corpus, from 0 to 100. The best of several references of an output counts.
 * White space is ignored. sacrebleu gives the same numbers. Throws as `bleu`.
 */
export function chrf(
  outputs: readonly string[],
  references: readonly (string | readonly string[])[],
  options: ChrfOptions = {},
): number {
  checkPaired('chrf', { outputs, references }, TEXTS, REFERENCES);
  const kinds = { charOrder: 'count', wordOrder: 'whole', beta: 'positive' } as const;
  const { charOrder = 6, wordOrder = 0, beta = 2 } = checkOptions('chrf', options, kinds);
  const gramsOf = (text: string) => [...characterGrams(text, charOrder), ...wordGrams(text, wordOrder)];
  const totals: [number, number, number][] = Array.from({ length: charOrder + wordOrder }, () => [0, 0, 0]);
  outputs.forEach((output, i) => {
    const outputGrams = gramsOf(output);
    const all = [references[i] as string | readonly string[]]
      .flat()
      .map((text) => statistics(outputGrams, gramsOf(text)));
    const best = all.reduce((a, b) => (scoreOf(b, beta) > scoreOf(a, beta) ? b : a));
    best.forEach((counts, n) => {
      for (const k of [0, 1, 2] as const) (totals[n] as [number, number, number])[k] += counts[k];
    });
  });
  return scoreOf(totals, beta);
}

function statistics(
  output: readonly ReadonlyMap<string, number>[],
  reference: readonly ReadonlyMap<string, number>[],
): Statistics {
  const size = (counts: ReadonlyMap<string, number>) => [...counts.values()].reduce((sum, count) => sum + count, 0);
  return output.map((grams, n) => {
    const other = reference[n] as ReadonlyMap<string, number>;
    const both = [...grams].reduce((sum, [gram, count]) => sum + Math.min(count, other.get(gram) ?? 0), 0);
    // An order for which the reference is too short does not count.
    return [other.size > 0 ? size(grams) : 0, size(other), both] as const;
  });
}

function scoreOf(statistics: Statistics, beta: number): number {
  const factor = beta ** 2;
  let [score, orders, precisions, recalls] = [0, 0, 0, 0];
  for (const [output, reference, both] of statistics) {
    if (output === 0 || reference === 0) continue;
    orders++;
    precisions += both / output;
    recalls += both / reference;
  }
  if (orders === 0) return 0;
  const [precision, recall] = [precisions / orders, recalls / orders];
  if (precision + recall > 0) score = (1 + factor) * ((precision * recall) / (factor * precision + recall));
  return 100 * score;
}

function characterGrams(text: string, order: number): Map<string, number>[] {
  const characters = [...splitWords(text).join('')];
  return Array.from({ length: order }, (_, n) => counted(characters, n + 1, ''));
}

const PUNCTUATION = /^[!-/:-@[-`{-~]$/;

/** Words, split from punctuation at one end, as in chrF++. */
function wordGrams(text: string, order: number): Map<string, number>[] {
  const words = splitWords(text).flatMap((word) => {
    const characters = [...word];
    if (characters.length === 1) return [word];
    if (PUNCTUATION.test(characters.at(-1) as string))
      return [characters.slice(0, -1).join(''), characters.at(-1) as string];
    if (PUNCTUATION.test(characters[0] as string)) return [characters[0] as string, characters.slice(1).join('')];
    return [word];
  });
  return Array.from({ length: order }, (_, n) => counted(words, n + 1, ' '));
}

function counted(items: readonly string[], n: number, separator: string): Map<string, number> {
  const counts = new Map<string, number>();
  for (let i = 0; i + n <= items.length; i++) {
    const gram = items.slice(i, i + n).join(separator);
    counts.set(gram, (counts.get(gram) ?? 0) + 1);
  }
  return counts;
}
