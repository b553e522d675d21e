// Tasks of `simdformer finetune`. Rows determine the model's head, the objective and the metrics.

import { ArgumentError } from '../core/errors.js';
import { CausalLanguageModel, type CausalRow } from '../finetune/causal-language-model.js';
import { type EmbeddingRow, Embeddings } from '../finetune/embedding.js';
import { numberOf } from '../finetune/encoded.js';
import { evaluateClassification } from '../finetune/evaluate-classification.js';
import {
  type EvaluationOptions,
  evaluateCausal,
  evaluateEmbeddings,
  evaluateMasked,
  evaluateSequenceToSequence,
  evaluateTokens,
  lossOver,
} from '../finetune/evaluate-tokens.js';
import type { ModelObjectiveOptions } from '../finetune/model-objective.js';
import { Preference, type PreferenceRow } from '../finetune/preference.js';
import type { FileRow } from '../finetune/read-rows.js';
import { type ClassificationRow, SequenceClassification } from '../finetune/sequence-classification.js';
import { type Seq2SeqRow, SequenceToSequence } from '../finetune/sequence-to-sequence.js';
import { MaskedLanguageModel, TokenClassification, type TokenClassificationRow } from '../finetune/token-objectives.js';
import type { PretrainedModel } from '../models/pretrained-model.js';
import type { LoadModelOptions } from '../pretrained/load-model.js';
import type { Objective } from '../train/fit.js';

export interface FinetuneTask {
  /** Converts rows to the objective's form, in place. */
  normalize?(rows: readonly FileRow[]): void;
  /** The head that the rows of training and validation require. */
  head(rows: readonly FileRow[]): Pick<LoadModelOptions, 'head' | 'labels' | 'problemType'>;
  objective(model: PretrainedModel, options: ModelObjectiveOptions): Objective<object>;
  /** Metrics of a model on rows. They include `loss` if the task has a comparable one. */
  evaluate(
    model: PretrainedModel,
    rows: readonly FileRow[],
    options: EvaluationOptions,
  ): Promise<Record<string, number>>;
}

const sequenceClassification: FinetuneTask = {
  normalize: idsOfShares,
  head(rows) {
    const head = 'sequence-classification';
    const isScored = rows.some(({ score }) => score !== undefined && score !== '');
    if (isScored || areMeasures(rows.map(({ label }) => label)))
      return { head, labels: ['LABEL_0'], problemType: 'regression' };
    if (rows.some(({ labels }) => Array.isArray(labels))) {
      const labels = sorted(rows.flatMap(({ labels: rowLabels }) => (Array.isArray(rowLabels) ? rowLabels : [])));
      return { head, labels, problemType: 'multi_label_classification' };
    }
    const labels = sorted(rows.map(({ label }) => label));
    if (labels.length > MAX_USUAL_LABELS && labels.length > rows.length / 2)
      throw new ArgumentError(
        `${rows.length} rows have ${labels.length} labels: expected fewer labels; is this the right column?`,
      );
    if (labels.length > 1) return { head, labels, problemType: 'single_label_classification' };
    throw new ArgumentError(
      labels.length === 0 ? 'no row has a label' : `all rows have the label ${labels[0]}: expected two labels or more`,
    );
  },
  objective: (model, options) => new SequenceClassification(model, options) as Objective<object>,
  evaluate: (model, rows, options) =>
    evaluateClassification(model, rows as unknown as ClassificationRow[], {
      maxLength: options.maxLength,
      signal: options.signal,
    }),
};

/** Number of labels above which the column is probably not the labels. */
const MAX_USUAL_LABELS = 100;

/** True if labels are scores for regression, not classes: some are not integers, as in STS-B. */
function areMeasures(labels: readonly unknown[]): boolean {
  const numbers = labels.map(numberOf);
  return numbers.every((number) => number !== undefined) && !numbers.every(Number.isInteger);
}

/** Converts multi-label rows with a 1 or 0 per class, as in transformers, to lists of class ids. */
function idsOfShares(rows: readonly FileRow[]): void {
  const all = rows.map(({ labels }) => labels);
  const width = Array.isArray(all[0]) ? all[0].length : 0;
  const isShares = (labels: unknown): labels is number[] =>
    Array.isArray(labels) && labels.length === width && labels.every((label) => label === 0 || label === 1);
  // Lists of ids can look alike, but each id occurs once.
  if (width < 2 || !all.every(isShares) || all.every((labels) => new Set(labels).size === width)) return;
  for (const row of rows) row.labels = (row.labels as number[]).flatMap((share, id) => (share === 1 ? [id] : []));
}

const tokenClassification: FinetuneTask = {
  head(rows) {
    const labels = sorted(rows.flatMap((row) => (Array.isArray(row.labels) ? row.labels : [])));
    if (labels.length === 0)
      throw new ArgumentError('no row has labels for its tokens, expected { "tokens", "labels" }');
    return { head: 'token-classification', labels };
  },
  objective: (model, options) => new TokenClassification(model, options) as Objective<object>,
  evaluate: (model, rows, options) => evaluateTokens(model, rows as unknown as TokenClassificationRow[], options),
};

const embedding: FinetuneTask = {
  head: () => ({ head: 'none' }),
  objective: (model, options) => new Embeddings(model, options) as Objective<object>,
  evaluate: (model, rows, options) => evaluateEmbeddings(model, rows as readonly EmbeddingRow[], options),
};

const languageModel: FinetuneTask = {
  head: () => ({ head: 'language-model' }),
  objective: (model, options) => new CausalLanguageModel(model, options) as Objective<object>,
  evaluate: (model, rows, options) => evaluateCausal(model, rows as readonly CausalRow[], options),
};

const maskedLanguageModel: FinetuneTask = {
  head: () => ({ head: 'masked-language-model' }),
  objective: (model, options) => new MaskedLanguageModel(model, options) as Objective<object>,
  evaluate: (model, rows, options) => evaluateMasked(model, rows as { text: string }[], options),
};

const sequenceToSequence: FinetuneTask = {
  head: () => ({ head: 'language-model' }),
  objective: (model, options) => new SequenceToSequence(model, options) as Objective<object>,
  evaluate: (model, rows, options) => evaluateSequenceToSequence(model, rows as unknown as Seq2SeqRow[], options),
};

const preference: FinetuneTask = {
  head: () => ({ head: 'language-model' }),
  objective: (model, options) => new Preference(model, options) as Objective<object>,
  evaluate: async (model, rows, { maxLength, signal }) => ({
    loss: await lossOver(new Preference(model, { maxLength }), rows as unknown as PreferenceRow[], signal),
  }),
};

export const FINETUNE_TASKS: Readonly<Record<string, FinetuneTask>> = {
  'sequence-classification': sequenceClassification,
  'token-classification': tokenClassification,
  embedding,
  chat: languageModel,
  'language-model': languageModel,
  'masked-language-model': maskedLanguageModel,
  'sequence-to-sequence': sequenceToSequence,
  preference,
};

/** The task of a fine-tuned model, by its head. */
export function taskOf(model: PretrainedModel): FinetuneTask {
  if (model.headKind === 'none') return embedding;
  if (model.headKind === 'language-model' && model.encoder !== null) return sequenceToSequence;
  const task = FINETUNE_TASKS[model.headKind];
  if (task !== undefined) return task;
  throw new ArgumentError(`models with the head ${model.headKind} have no metrics, expected a fine-tuned model`);
}

/** Sorted names of labels; numbers are sorted by value. */
function sorted(labels: readonly unknown[]): string[] {
  const names = [...new Set(labels.filter((label) => label !== undefined && label !== null).map(String))];
  return names.sort((a, b) => Number(a) - Number(b) || (a < b ? -1 : 1));
}
