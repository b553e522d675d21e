// What `simdformer finetune` teaches: how each task's rows decide the model's head, are learnt and are measured.

import { ArgumentError } from '../core/errors.js';
import { evaluateClassification } from '../finetune/evaluate-classification.js';
import type { ModelObjectiveOptions } from '../finetune/model-objective.js';
import type { FileRow } from '../finetune/read-rows.js';
import { type ClassificationRow, SequenceClassification } from '../finetune/sequence-classification.js';
import type { PretrainedModel } from '../models/pretrained-model.js';
import type { LoadModelOptions } from '../pretrained/load-model.js';
import type { Objective } from '../train/fit.js';

export interface EvaluateOptions {
  readonly maxLength?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Hypotheses of beam search, where texts are written. Default 1. */
  readonly beams?: number | undefined;
}

export interface FinetuneTask {
  /** What the model is to predict, as rows show it. */
  head(rows: readonly FileRow[]): Pick<LoadModelOptions, 'head' | 'labels' | 'problemType'>;
  objective(model: PretrainedModel, options: ModelObjectiveOptions): Objective<object>;
  /** Metrics of a model on rows; `loss` among them, where the task has one that can be compared. */
  evaluate(model: PretrainedModel, rows: readonly FileRow[], options: EvaluateOptions): Promise<Record<string, number>>;
}

const sequenceClassification: FinetuneTask = {
  head(rows) {
    const head = 'sequence-classification';
    if (rows.some(({ score: given }) => given !== undefined && given !== ''))
      return { head, labels: ['LABEL_0'], problemType: 'regression' };
    if (rows.some(({ labels }) => Array.isArray(labels))) {
      const labels = sorted(rows.flatMap(({ labels: own }) => (Array.isArray(own) ? own : [])));
      return { head, labels, problemType: 'multi_label_classification' };
    }
    const labels = sorted(rows.map(({ label }) => label));
    if (labels.length > 1) return { head, labels, problemType: 'single_label_classification' };
    throw new ArgumentError(`all rows have the label ${labels[0] ?? 'undefined'}: expected two labels or more`);
  },
  objective: (model, options) => new SequenceClassification(model, options) as Objective<object>,
  evaluate: (model, rows, options) =>
    evaluateClassification(model, rows.map(classificationRow), {
      maxLength: options.maxLength,
      signal: options.signal,
    }),
};

export const FINETUNE_TASKS: Readonly<Record<string, FinetuneTask>> = {
  'sequence-classification': sequenceClassification,
};

/** The task of a model that was fine-tuned, by what it predicts. */
export function taskOf(model: PretrainedModel): FinetuneTask {
  const task = FINETUNE_TASKS[model.headKind];
  if (task !== undefined) return task;
  throw new ArgumentError(`a model with the head ${model.headKind} cannot be measured`);
}

/** Columns of text files are texts, where scores are numbers. */
export function classificationRow(row: FileRow): ClassificationRow {
  const { score, ...rest } = row;
  return { ...rest, score: score === undefined || score === '' ? undefined : Number(score) } as ClassificationRow;
}

/** Names of labels, numbers in their order. */
function sorted(labels: readonly unknown[]): string[] {
  const names = [...new Set(labels.filter((label) => label !== undefined).map(String))];
  return names.sort((a, b) => Number(a) - Number(b) || (a < b ? -1 : 1));
}
