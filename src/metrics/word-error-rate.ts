import { checkArgument, checkPaired, NUMBERS, TEXTS } from './check.js';
import { splitWords } from './python-text.js';

/**
 * Word error rate: insertions, deletions and substitutions that turn outputs into references, per word of the
 * references. It can exceed 1. White space separates words. Throws ArgumentError if there are not as many references as
 * outputs.
 */
export function wer(outputs: readonly string[], references: readonly string[]): number {
  checkPaired('wer', { outputs, references }, TEXTS);
  let [edits, length] = [0, 0];
  outputs.forEach((output, i) => {
    const reference = splitWords(references[i] as string);
    edits += editDistance(splitWords(output), reference);
    length += reference.length;
  });
  return edits / length;
}

const SEQUENCE = {
  accepts: (value: unknown) => typeof value === 'string' || Array.isArray(value) || ArrayBuffer.isView(value),
  expected: 'an array',
};

/** Insertions, deletions and substitutions that turn `a` into `b` (Levenshtein 1966). */
export function editDistance<T>(a: readonly T[], b: readonly T[]): number {
  checkArgument('editDistance', 'a', a, SEQUENCE);
  checkArgument('editDistance', 'b', b, SEQUENCE);
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 0; i < a.length; i++) {
    const next = [i + 1];
    for (let j = 0; j < b.length; j++) {
      const replaced = (row[j] as number) + (a[i] === b[j] ? 0 : 1);
      next.push(Math.min(replaced, (row[j + 1] as number) + 1, (next[j] as number) + 1));
    }
    row = next;
  }
  return row[b.length] as number;
}

/**
 * Returns exp of the mean loss of tokens, in nats. `weights` are the numbers of tokens over which each loss is a mean;
 * default 1 each.
 */
export function perplexity(losses: readonly number[], weights?: readonly number[]): number {
  checkArgument('perplexity', 'losses', losses, NUMBERS);
  const counts = weights === undefined ? losses.map(() => 1) : weights;
  checkPaired('perplexity', { losses, weights: counts }, NUMBERS);
  const total = counts.reduce((sum, count) => sum + count, 0);
  return Math.exp(losses.reduce((sum, loss, i) => sum + loss * (counts[i] as number), 0) / total);
}
