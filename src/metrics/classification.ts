// Metrics of predicted classes, as scikit-learn computes them.

import { anyOf, checkOptions } from '../core/check.js';
import { checkPaired, LABELS } from './check.js';

/** A class: its id or its name. */
export type Label = number | string;

/** Returns the fraction of predictions that equal their references: `accuracy([1, 0], [1, 1])` is 0.5. */
export function accuracy(predictions: readonly Label[], references: readonly Label[]): number {
  checkPaired('accuracy', { predictions, references }, LABELS);
  return predictions.filter((label, i) => label === references[i]).length / predictions.length;
}

export interface F1Options {
  /**
   * Averaging over classes. 'binary': only the class `positive`. 'macro': the mean over the classes that occur.
   * 'micro': all decisions together. 'weighted': the mean weighted by the frequency of classes in the references.
   * Default: 'macro'.
   */
  average?: 'binary' | 'macro' | 'micro' | 'weighted' | undefined;
  /** The positive class for 'binary'. Default: 1. */
  positive?: Label | undefined;
}

export interface Scores {
  readonly precision: number;
  readonly recall: number;
  /** 2·precision·recall / (precision + recall), 0 if both are 0. */
  readonly f1: number;
}

/** Precision, recall and F1. Throws ArgumentError if there are not as many predictions as references, or none. */
export function f1(predictions: readonly Label[], references: readonly Label[], options: F1Options = {}): Scores {
  const { average = 'macro', positive = 1 } = checkOptions('f1', options, {
    average: ['macro', 'micro', 'weighted', 'binary'],
    positive: anyOf('string', 'number'),
  });
  checkPaired('f1', { predictions, references }, LABELS);
  const classes = average === 'binary' ? [positive] : [...new Set([...references, ...predictions])];
  const counts = classes.map((label) => {
    const count = (wanted: (predicted: boolean, is: boolean) => boolean) =>
      references.filter((is, i) => wanted(predictions[i] === label, is === label)).length;
    return {
      right: count((predicted, is) => predicted && is),
      predicted: count((predicted) => predicted),
      actual: count((_, is) => is),
    };
  });
  if (average === 'micro') {
    const sum = (name: keyof Counts) => counts.reduce((total, counted) => total + counted[name], 0);
    return scoresOf({ right: sum('right'), predicted: sum('predicted'), actual: sum('actual') });
  }
  const weights = counts.map(({ actual }) => (average === 'weighted' ? actual : 1));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const scores = counts.map(scoresOf);
  const mean = (name: keyof Scores) =>
    scores.reduce((sum, score, i) => sum + score[name] * (weights[i] as number), 0) / total;
  return { precision: mean('precision'), recall: mean('recall'), f1: mean('f1') };
}

/** Decisions about one class, or about several together. */
export interface Counts {
  /** Predicted and true. */
  readonly right: number;
  readonly predicted: number;
  readonly actual: number;
}

export function scoresOf({ right, predicted, actual }: Counts): Scores {
  const precision = predicted === 0 ? 0 : right / predicted;
  const recall = actual === 0 ? 0 : right / actual;
  return { precision, recall, f1: right === 0 ? 0 : (2 * right) / (predicted + actual) };
}

/**
 * Matthews' correlation of predicted and actual classes (Gorodkin 2004): 1 if all are right, 0 for random predictions.
 * It is 0 if either side has only one class.
 */
export function matthews(predictions: readonly Label[], references: readonly Label[]): number {
  checkPaired('matthews', { predictions, references }, LABELS);
  const size = predictions.length;
  const right = predictions.filter((label, i) => label === references[i]).length;
  const [predicted, actual] = [countsOf(predictions), countsOf(references)];
  let together = 0;
  for (const [label, count] of predicted) together += count * (actual.get(label) ?? 0);
  const squares = (counts: ReadonlyMap<Label, number>) => [...counts.values()].reduce((sum, n) => sum + n * n, 0);
  const spread = Math.sqrt(size * size - squares(predicted)) * Math.sqrt(size * size - squares(actual));
  return spread === 0 ? 0 : (right * size - together) / spread;
}

function countsOf(labels: readonly Label[]): Map<Label, number> {
  const counts = new Map<Label, number>();
  for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1);
  return counts;
}
