import { checkNumber, checkOptions, describeValue, isCount, isObject } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import { labelsOf } from '../models/labels.js';
import type { LoadedModel } from '../pretrained/load-later.js';
import { callOptionKinds, inBatches } from './batches.js';
import { largest, sigmoid, softmax } from './scores.js';
import type { CallOptions, Task, TaskContext } from './task.js';
import { checkFits, encode, sequenceLogits, type TextOrPair, type TruncationOptions } from './text-inputs.js';

/** Two texts that are read as one sequence. */
export interface TextWithPair {
  readonly text: string;
  readonly text_pair: string;
}

export interface TextClassificationOptions extends CallOptions, TruncationOptions {
  /** Number of classes returned, best first; null for all. Default: 1. */
  top_k?: number | null | undefined;
  /**
   * Function from logits to scores. Default: none for a regression, the sigmoid for a single class or classes that do
   * not exclude each other, otherwise the softmax.
   */
  function_to_apply?: 'sigmoid' | 'softmax' | 'none' | undefined;
}

export interface ClassScore {
  readonly label: string;
  readonly score: number;
}

/**
 * Classes of texts. For `top_k` 1, an array with one class per text. Otherwise an array of classes per text, or one
 * array for a single text.
 */
export type TextClassification = <
  Texts extends string | TextWithPair | readonly (string | TextWithPair)[],
  const Options extends TextClassificationOptions = Record<never, never>,
>(
  texts: Texts,
  options?: Options,
) => Promise<
  Options extends { top_k: infer Count }
    ? 1 extends Count
      ? ClassScore[]
      : Texts extends readonly unknown[]
        ? ClassScore[][]
        : ClassScore[]
    : ClassScore[]
>;

const TASK = 'text-classification';

export const textClassification: Task<TextClassification> = {
  head: 'sequence-classification',
  create: (context) =>
    (async (
      texts: string | TextWithPair | readonly (string | TextWithPair)[],
      options: TextClassificationOptions = {},
    ) => {
      const { top_k: count = 1, function_to_apply: activation } = checkOptions(TASK, options, {
        top_k: 'any',
        function_to_apply: ['sigmoid', 'softmax', 'none'],
        truncate: 'boolean',
        ...callOptionKinds,
      });
      if (count !== null) checkNumber(TASK, 'top_k', count, isCount, 'a positive integer or null');
      const { model } = context;
      const labels = labelsOf(model.config);
      const inputs = (Array.isArray(texts) ? texts : [texts]).map(pairOf);
      const results = await classify(context, inputs, options, (logits) => {
        const scores = scoresOf(model, logits, activation);
        return largest(scores, count ?? scores.length).map((id) => ({
          label: labels[id] as string,
          score: scores[id] as number,
        }));
      });
      if (count === 1) return results.flat();
      return Array.isArray(texts) ? results : results[0];
    }) as TextClassification,
};

/** Applies `read` to the logits of each text or pair. */
export async function classify<Result>(
  context: TaskContext,
  pairs: readonly TextOrPair[],
  options: CallOptions & TruncationOptions,
  read: (logits: Float32Array) => Result,
  truncation: 'longest_first' | 'only_first' = 'longest_first',
): Promise<Result[]> {
  const sizeOf = ([text, pair]: TextOrPair) => text.length + (pair?.length ?? 0);
  // Pairs and single texts cannot be mixed, because the tokenizer takes a list of one kind.
  const paired = pairs.some(([, pair]) => pair !== undefined);
  if (paired && pairs.some(([, pair]) => pair === undefined))
    throw new ArgumentError(`${context.task}: some texts are pairs and some are not, expected one kind`);
  await checkFits(context, pairs, options);
  const run = async (batch: readonly TextOrPair[]) => {
    const second = paired ? { textPair: batch.map(([, pair]) => pair as string), truncation } : {};
    const encoded = await encode(
      context,
      batch.map(([text]) => text),
      second,
    );
    return (await sequenceLogits(context.model, encoded)).map(read);
  };
  return inBatches(pairs, sizeOf, run, options);
}

function pairOf(input: unknown, index: number): TextOrPair {
  if (typeof input === 'string') return [input];
  const { text, text_pair: pair } = isObject(input) ? input : {};
  if (typeof text === 'string' && typeof pair === 'string') return [text, pair];
  throw new ArgumentError(
    `${TASK}: texts[${index}] is ${describeValue(input)}, expected a string or { text, text_pair }`,
  );
}

/** Converts a model's logits to the score of each class. */
export function scoresOf(
  model: LoadedModel,
  logits: Float32Array,
  activation = functionOf(model, logits.length),
): number[] {
  if (activation === 'softmax') return softmax(logits);
  return Array.from(logits, (logit) => (activation === 'sigmoid' ? sigmoid(logit) : logit));
}

function functionOf({ config }: LoadedModel, classes: number): 'sigmoid' | 'softmax' | 'none' {
  if (config.problem_type === 'regression') return 'none';
  return config.problem_type === 'multi_label_classification' || classes === 1 ? 'sigmoid' : 'softmax';
}
