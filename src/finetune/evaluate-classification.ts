// Computes predictions of classifiers and their metrics.

import { checkOptions } from '../core/check.js';
import type { Tensor } from '../core/tensor.js';
import { accuracy, f1, matthews, scoresOf } from '../metrics/classification.js';
import { meanSquaredError, pearson, spearman } from '../metrics/correlation.js';
import { labelsOf } from '../models/labels.js';
import type { PretrainedModel } from '../models/pretrained-model.js';
import { inference } from '../nn/module.js';
import { encodeText, inputsOf, limitOf } from './encoded.js';
import { byLength } from './in-batches.js';
import { type ClassificationRow, problemTypeOf, SequenceClassification } from './sequence-classification.js';

/** Computes the logits of texts, one row for each text. */
export async function classify(
  model: PretrainedModel,
  rows: readonly Pick<ClassificationRow, 'text' | 'pair'>[],
  options: { maxLength?: number | undefined; signal?: AbortSignal | undefined } = {},
): Promise<number[][]> {
  const { maxLength, signal } = checkOptions('classify', options, { maxLength: 'count', signal: 'signal' });
  const limit = limitOf(model, maxLength);
  const texts = rows.map(({ text, pair }) => encodeText(model, text, pair, limit));
  return byLength(
    texts,
    ({ inputIds }) => inputIds.length,
    async (batch) => {
      signal?.throwIfAborted();
      const logits = inference(model, () => model.forward(inputsOf(batch)).logits as Tensor);
      const values = await logits.data();
      const width = logits.shape[1] as number;
      logits.dispose();
      return batch.map((_, i) => Array.from(values.slice(i * width, (i + 1) * width)));
    },
  );
}

/**
 * Computes the mean loss and metrics of a classifier. For one label: accuracy, macro F1 and Matthews' correlation. For
 * several labels: the fraction of rows whose labels are all right, and micro F1. For regression: Pearson's and
 * Spearman's correlation, and the mean squared error.
 */
export async function evaluateClassification(
  model: PretrainedModel,
  rows: readonly ClassificationRow[],
  options: { maxLength?: number | undefined; signal?: AbortSignal | undefined } = {},
): Promise<Record<string, number>> {
  checkOptions('evaluateClassification', options, { maxLength: 'count', signal: 'signal' });
  const objective = new SequenceClassification(model, { maxLength: options.maxLength });
  const targets = rows.map((row) => objective.targetOf(row));
  const logits = await classify(model, rows, options);
  switch (problemTypeOf(model.config)) {
    case 'regression':
      return ofNumbers(
        logits.map(([value]) => value as number),
        targets as number[],
      );
    case 'multi_label_classification':
      return ofSeveral(logits, targets as number[][]);
    default:
      return ofLabels(logits, targets as number[], labelsOf(model.config).length);
  }
}

function ofLabels(logits: readonly number[][], targets: readonly number[], classes: number): Record<string, number> {
  const predicted = logits.map((row) => row.indexOf(Math.max(...row)));
  const losses = logits.map((row, i) => logSum(row) - (row[targets[i] as number] as number));
  const result = { loss: meanOf(losses), accuracy: accuracy(predicted, targets), f1: f1(predicted, targets).f1 };
  return { ...result, ...(classes > 1 && { matthews: matthews(predicted, targets) }) };
}

function ofNumbers(values: readonly number[], targets: readonly number[]): Record<string, number> {
  const error = meanSquaredError(values, targets);
  return {
    loss: error,
    pearson: pearson(values, targets),
    spearman: spearman(values, targets),
    meanSquaredError: error,
  };
}

function ofSeveral(logits: readonly number[][], targets: readonly number[][]): Record<string, number> {
  const losses = logits.flatMap((row, i) =>
    row.map((x, label) => Math.max(x, 0) - x * (targets[i]?.[label] as number) + Math.log1p(Math.exp(-Math.abs(x)))),
  );
  const predicted = logits.map((row) => row.map((x) => Number(x > 0)));
  const isRight = predicted.map((row, i) => Number(row.every((value, label) => value === targets[i]?.[label])));
  const [all, actual] = [predicted.flat(), targets.flat()];
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  const right = sum(all.map((value, i) => value * (actual[i] as number)));
  const { f1: microF1 } = scoresOf({ right, predicted: sum(all), actual: sum(actual) });
  return { loss: meanOf(losses), accuracy: meanOf(isRight), f1: microF1 };
}

function logSum(values: readonly number[]): number {
  const max = Math.max(...values);
  return max + Math.log(values.reduce((sum, value) => sum + Math.exp(value - max), 0));
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
