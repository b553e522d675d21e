import { checkOptions } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import type { Tensor } from '../core/tensor.js';
import { type Answer, type AnswerLimits, answersOf, type ContextPart } from './answers.js';
import { callOptionKinds, inBatches } from './batches.js';
import type { CallOptions, Task, TaskContext } from './task.js';
import { encode, forward, textsOf, tokenizerOf, tokenLimit } from './text-inputs.js';

export interface QuestionAnsweringOptions extends CallOptions {
  /** Number of answers. Default: 1, which is returned without an array. */
  top_k?: number | undefined;
  /**
   * Maximum number of tokens of the question and a part of the context together. Default: 384, or the model's limit if
   * that is less.
   */
  max_seq_len?: number | undefined;
  /**
   * Number of tokens by which parts of a long context overlap. Default: 128, or half of `max_seq_len` if that is less.
   */
  doc_stride?: number | undefined;
  /** Maximum number of tokens of an answer. Default: 15. */
  max_answer_len?: number | undefined;
  /** Maximum number of tokens of the question; the rest is cut off. Default: 64. */
  max_question_len?: number | undefined;
  /** True allows '' as an answer, if the model was trained on questions without one. Default: false. */
  handle_impossible_answer?: boolean | undefined;
  /** True limits answers to whole words. Default: true; false for languages without spaces. */
  align_to_words?: boolean | undefined;
}

/**
 * Finds answers in a context. A context that is too long is read in overlapping parts. The score is the probability of
 * the answer's first token times that of its last one, added up over parts with the same answer. `start` and `end`
 * count code points of the context: `[...context].slice(start, end).join('')` is the answer.
 */
export type QuestionAnswering = <
  Texts extends string | readonly string[],
  const Options extends QuestionAnsweringOptions = Record<never, never>,
>(
  question: Texts,
  context: Texts,
  options?: Options,
) => Promise<Texts extends string ? AnswersOf<Options> : AnswersOf<Options>[]>;

/** The result of a call with these options. */
export type AnswersOf<Options extends QuestionAnsweringOptions> = Options extends { top_k: infer Count }
  ? 1 extends Count
    ? Answer
    : Answer[]
  : Answer;

const TASK = 'question-answering';

export const questionAnswering: Task<QuestionAnswering> = {
  head: 'question-answering',
  create: (task) =>
    (async (
      questions: string | readonly string[],
      contexts: string | readonly string[],
      options: QuestionAnsweringOptions = {},
    ) => {
      const limits = limitsOf(task, options);
      const [questionList, contextList] = [textsOf(TASK, questions, 'question'), textsOf(TASK, contexts, 'context')];
      if (questionList.length !== contextList.length)
        throw new ArgumentError(
          `${TASK}: ${questionList.length} questions and ${contextList.length} contexts, expected the same number`,
        );
      const pairs = questionList.map((question, i) => [question, contextList[i] as string] as const);
      const sizeOf = ([question, context]: readonly [string, string]) => question.length + context.length;
      const run = async (batch: readonly (readonly [string, string])[]) => {
        const parts = await readParts(task, batch, limits, options);
        return batch.map(([, context], i) => answersOf(context, parts[i] as ContextPart[], limits));
      };
      const results = await inBatches(pairs, sizeOf, run, options);
      const shaped = limits.count === 1 ? results.map(([best]) => best as Answer) : results;
      return typeof questions === 'string' ? shaped[0] : shaped;
    }) as QuestionAnswering,
};

interface Limits extends AnswerLimits {
  readonly maxLength: number;
  readonly stride: number;
  readonly questionLength: number;
}

function limitsOf({ model }: TaskContext, options: QuestionAnsweringOptions): Limits {
  const checked = checkOptions(TASK, options, {
    top_k: 'count',
    max_seq_len: 'count',
    doc_stride: 'whole',
    max_answer_len: 'count',
    max_question_len: 'count',
    handle_impossible_answer: 'boolean',
    align_to_words: 'boolean',
    ...callOptionKinds,
  });
  const maxLength = Math.min(checked.max_seq_len ?? 384, tokenLimit(model));
  return {
    count: checked.top_k ?? 1,
    maxLength,
    stride: checked.doc_stride ?? Math.min(maxLength >> 1, 128),
    longest: checked.max_answer_len ?? 15,
    questionLength: checked.max_question_len ?? 64,
    mayBeNone: checked.handle_impossible_answer ?? false,
    inWords: checked.align_to_words ?? true,
  };
}

/** Returns the model's outputs for the parts of each context. Parts are read in batches. */
async function readParts(
  task: TaskContext,
  batch: readonly (readonly [string, string])[],
  { maxLength, stride, questionLength }: Limits,
  { signal, batchSize }: CallOptions,
): Promise<ContextPart[][]> {
  const encoded = await encode(
    task,
    batch.map(([question]) => truncatedQuestion(task, question, questionLength)),
    {
      textPair: batch.map(([, context]) => context),
      truncation: 'only_second',
      maxLength,
      stride,
      returnOverflowingTokens: true,
      returnOffsets: true,
    },
  );
  const rows = [...encoded.inputIds.keys()];
  const lengthOf = (row: number) => (encoded.inputIds[row] as number[]).length;
  const run = async (some: readonly number[]) => {
    const inputIds = some.map((row) => encoded.inputIds[row] as number[]);
    const tokenTypeIds = some.map((row) => encoded.tokenTypeIds[row] as number[]);
    const [starts, ends] = (await forward(task.model, { inputIds, tokenTypeIds }, (output) => [
      output.startLogits as Tensor,
      output.endLogits as Tensor,
    ])) as [Float32Array, Float32Array];
    let start = 0;
    return some.map((row): ContextPart => {
      const range = [start, start + lengthOf(row)] as const;
      start += lengthOf(row);
      return {
        starts: starts.subarray(...range),
        ends: ends.subarray(...range),
        offsets: encoded.offsets[row] as [number, number][],
        wordIds: encoded.wordIds[row] as (number | null)[],
        first: firstOfContext(encoded.specialTokensMask[row] as number[]),
        isSpecial: encoded.specialTokensMask[row] as number[],
      };
    });
  };
  const parts = await inBatches(rows, lengthOf, run, { signal, batchSize });
  return batch.map((_, i) => parts.filter((_part, row) => encoded.overflowToSampleMapping[row] === i));
}

/** Cuts the question after its first tokens. */
function truncatedQuestion(task: TaskContext, question: string, tokens: number): string {
  const { offsets } = tokenizerOf(task).encodeBatch([question], { addSpecialTokens: false });
  const last = offsets[0]?.[tokens - 1];
  const isLonger = (offsets[0]?.length ?? 0) > tokens;
  return last !== undefined && isLonger ? [...question].slice(0, last[1]).join('') : question;
}

/** Returns the index of the second text's first token, after the special tokens that follow the first text. */
function firstOfContext(isSpecial: readonly number[]): number {
  const question = isSpecial.indexOf(0);
  const between = isSpecial.indexOf(1, question);
  const context = isSpecial.indexOf(0, between);
  return context < 0 ? isSpecial.length : context;
}
