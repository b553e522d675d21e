// The objective of classifiers: one label of a text or a pair, several labels, or a number.

import { describeValue } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { ModelInputs } from '../models/inputs.js';
import { labelsOf } from '../models/labels.js';
import type { ProblemType } from '../models/prediction-head.js';
import { type EncodedText, encodeText, inputsOf, numberOf } from './encoded.js';
import { ModelObjective } from './model-objective.js';

/** A text, or two, and its target: a label by name or id, several labels, or a number. */
export interface ClassificationRow {
  readonly text: string;
  readonly pair?: string | undefined;
  readonly label?: string | number | undefined;
  /** For multi-label classification: the labels that apply. */
  readonly labels?: readonly (string | number)[] | undefined;
  /** For regression. */
  readonly score?: number | string | undefined;
}

/** A row as ids. */
export interface EncodedExample {
  readonly text: EncodedText;
  /** A class id or a number; for several labels, 0 or 1 for each. */
  readonly target: number | readonly number[];
}

/**
 * Trains a model with the head 'sequence-classification'. The loss is the cross entropy of one label, the binary cross
 * entropy of several, or the mean squared error of a number. The config's `problem_type` and labels decide. Rows are `{
 * text, pair?, label }`, `{ text, pair?, labels }` or `{ text, pair?, score }`.
 *
 *     const model = await loadModel(device, folder, { head: 'sequence-classification', labels: ['bad', 'good'] });
 *     await fit(new SequenceClassification(model), [{ text: 'a delight', label: 'good' }, …], { batchSize: 32 });
 */
export class SequenceClassification extends ModelObjective<ClassificationRow, EncodedExample> {
  protected override encode(row: ClassificationRow): EncodedExample {
    const { text, pair } = row;
    if (typeof text !== 'string')
      throw new ArgumentError(`fit: an example's text is ${describeValue(text)}, expected a string`);
    return { text: encodeText(this.model, text, pair, this.maxLength), target: this.targetOf(row) };
  }

  /** Returns the target of a row. Throws ArgumentError if the row has none, or if the model does not have its label. */
  targetOf({ label, labels, score }: ClassificationRow): number | readonly number[] {
    const names = labelsOf(this.model.config);
    switch (problemTypeOf(this.model.config)) {
      case 'regression': {
        const value = numberOf(score ?? label);
        if (value !== undefined) return value;
        throw new ArgumentError(`fit: an example's score is ${describeValue(score ?? label)}, expected a number`);
      }
      case 'multi_label_classification': {
        const rawLabels = labels ?? (label === undefined ? [] : [label]);
        if (!Array.isArray(rawLabels))
          throw new ArgumentError(`fit: an example's labels are ${describeValue(rawLabels)}, expected an array`);
        const held = new Set(rawLabels.map((value) => idOf(value, names)));
        return names.map((_, id) => (held.has(id) ? 1 : 0));
      }
      default:
        if (label === undefined || label === null) throw new ArgumentError('fit: an example has no label');
        return idOf(label, names);
    }
  }

  override inputs(examples: readonly EncodedExample[]): ModelInputs {
    const labels = examples.map(({ target }) => target) as number[] | number[][];
    return { ...inputsOf(examples.map(({ text }) => text)), labels };
  }

  protected override lengthOf({ text }: EncodedExample): number {
    return text.inputIds.length;
  }
}

/** Returns the problem type of a config. The default is regression for one label, otherwise classification. */
export function problemTypeOf(config: Readonly<Record<string, unknown>>): ProblemType {
  const problemType = config.problem_type as ProblemType | null | undefined;
  return problemType ?? (labelsOf(config).length === 1 ? 'regression' : 'single_label_classification');
}

/** Returns the id of a label, which is given by its name or its id. */
export function idOf(label: string | number, names: readonly string[]): number {
  const byName = names.indexOf(String(label));
  if (byName >= 0) return byName;
  if (typeof label === 'number' && Number.isInteger(label) && label >= 0 && label < names.length) return label;
  throw new ArgumentError(
    `fit: an example's label is ${describeValue(label)}, expected one of ${names.slice(0, 20).join(', ')}`,
  );
}
