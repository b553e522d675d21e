import { checkOptions } from '../core/check.js';
import { ArgumentError, FormatError } from '../core/errors.js';
import { callOptionKinds } from './batches.js';
import { describeLabels, labelId } from './labels.js';
import { largest, softmax } from './scores.js';
import type { CallOptions, Task } from './task.js';
import { classify } from './text-classification.js';
import { type TruncationOptions, textsOf } from './text-inputs.js';

export interface ZeroShotClassificationOptions extends CallOptions, TruncationOptions {
  /** Hypothesis about a text, with {} for the label. Default: 'This example is {}.' */
  hypothesis_template?: string | undefined;
  /**
   * True allows several labels. The score of each is then the probability of entailment against contradiction. Default:
   * false: scores add up to 1.
   */
  multi_label?: boolean | undefined;
}

export interface ZeroShotScores {
  readonly sequence: string;
  /** The labels, the most likely first. */
  readonly labels: string[];
  readonly scores: number[];
}

/**
 * Scores arbitrary labels for a text by a model for natural language inference. A score derives from the probability
 * that the text entails the hypothesis with the label. Progress counts pairs of text and label.
 */
export type ZeroShotClassification = <Texts extends string | readonly string[]>(
  texts: Texts,
  candidate_labels: string | readonly string[],
  options?: ZeroShotClassificationOptions,
) => Promise<Texts extends string ? ZeroShotScores : ZeroShotScores[]>;

/** The default of `hypothesis_template`. */
export const HYPOTHESIS = 'This example is {}.';

const TASK = 'zero-shot-classification';

export const zeroShotClassification: Task<ZeroShotClassification> = {
  head: 'sequence-classification',
  create(context) {
    const { model } = context;
    const entailment = labelId(model, 'entail');
    if (entailment === undefined) {
      const has = `the model ${model.origin?.from ?? ''} has ${describeLabels(model)}`;
      throw new FormatError(
        `${TASK}: ${has}, expected a model for natural language inference, with a label 'entailment'`,
      );
    }
    const contradiction =
      labelId(model, 'contradiction') ?? labelId(model, 'not_entail') ?? (entailment === 0 ? -1 : 0);
    const call = async (
      texts: string | readonly string[],
      candidates: string | readonly string[],
      options: ZeroShotClassificationOptions = {},
    ) => {
      const { hypothesis_template: template = HYPOTHESIS, multi_label: multiple = false } = checkOptions(
        TASK,
        options,
        { hypothesis_template: 'any', multi_label: 'boolean', truncate: 'boolean', ...callOptionKinds },
      );
      if (typeof template !== 'string' || !template.includes('{}'))
        throw new ArgumentError(`${TASK}: hypothesis_template is ${JSON.stringify(template)}, expected {} in a string`);
      const labels = textsOf(TASK, candidates, 'candidate_labels');
      if (labels.length === 0) throw new ArgumentError(`${TASK}: candidate_labels is [], expected at least one label`);
      const premises = textsOf(TASK, texts);
      const hypotheses = labels.map((label) => template.replace('{}', () => label));
      const pairs = premises.flatMap((premise) => hypotheses.map((hypothesis) => [premise, hypothesis] as const));
      const pick = (logits: Float32Array) => [logits.at(contradiction), logits[entailment]] as [number, number];
      const logits = await classify(context, pairs, options, pick, 'only_first');
      const results = premises.map((sequence, i): ZeroShotScores => {
        const pairLogits = logits.slice(i * labels.length, (i + 1) * labels.length);
        const scores =
          multiple || labels.length === 1
            ? pairLogits.map((both) => softmax(both)[1] as number)
            : softmax(pairLogits.map(([, entails]) => entails));
        const order = largest(scores, scores.length);
        return {
          sequence,
          labels: order.map((index) => labels[index] as string),
          scores: order.map((index) => scores[index] as number),
        };
      });
      return typeof texts === 'string' ? results[0] : results;
    };
    return call as ZeroShotClassification;
  },
};
