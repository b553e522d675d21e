// Finds answers in the words of a page, by models that read words with their boxes, such as LayoutLMv3.

import { afterEvents } from '../backend/after-events.js';
import { checkOptions, describeValue } from '../core/check.js';
import { ArgumentError } from '../core/errors.js';
import { inSlices } from '../core/slices.js';
import { Tensor } from '../core/tensor.js';
import { inferenceAsync } from '../nn/inference-async.js';
import { bestSpans } from './answers.js';
import { callOptionKinds } from './batches.js';
import { decoded, type ImageInput, processorOf } from './image-inputs.js';
import type { CallOptions, TaskContext } from './task.js';
import { encode, tokenLimit } from './text-inputs.js';

/** A word and its box: left, upper, right and lower edge in thousandths of the page, integers. */
export type WordBox = readonly [word: string, box: readonly [number, number, number, number]];

/** Options for models that read words with their boxes, by the names of transformers. */
export interface WordBoxOptions extends CallOptions {
  /** The words of the page and their boxes, such as the result of an OCR program. Required. */
  word_boxes?: readonly WordBox[] | undefined;
  /** Maximum number of answers. Default: 1. */
  top_k?: number | undefined;
  /** Maximum number of tokens of an answer. Default: 15. */
  max_answer_len?: number | undefined;
  /** Maximum number of tokens of the question and a part of the words. Default: the model's limit. */
  max_seq_len?: number | undefined;
  /** Number of tokens by which parts overlap. Default: 256, or half of `max_seq_len` if that is less. */
  doc_stride?: number | undefined;
  /** True allows '' as an answer. Default: false. */
  handle_impossible_answer?: boolean | undefined;
}

export interface WordAnswer {
  readonly answer: string;
  /** Probability of the answer's first token times that of its last one. */
  readonly score: number;
  /** Indices of the first and of the last word. */
  readonly start: number;
  readonly end: number;
}

const KINDS = {
  word_boxes: 'any',
  top_k: 'count',
  max_answer_len: 'count',
  max_seq_len: 'count',
  doc_stride: 'whole',
  handle_impossible_answer: 'boolean',
  ...callOptionKinds,
} as const;

/** True for a model that answers by the words of a page. */
export function readsBoxes({ model }: TaskContext): boolean {
  return model.takes('bbox') && model.takes('startPositions');
}

/**
 * Returns the best answers, as transformers' pipeline does. The model also sees the image, which that pipeline does not
 * show to LayoutLMv3. Without an image, the answers are the same. Rejects with ArgumentError.
 */
export async function answersInWords(
  context: TaskContext,
  image: ImageInput | null,
  question: string,
  options: WordBoxOptions,
): Promise<WordAnswer[]> {
  const { task, model } = context;
  const checked = checkOptions(task, options, KINDS);
  const words = wordsOf(context, checked.word_boxes);
  const { text, wordAt } = joined(words.map(([word]) => word));
  const limit = tokenLimit(model);
  const maxLength = Math.min(checked.max_seq_len ?? limit, limit);
  const { inputIds, specialTokensMask, offsets } = await encode(context, [question], {
    textPair: [text],
    truncation: 'only_second',
    maxLength,
    stride: checked.doc_stride ?? Math.min(maxLength >> 1, 256),
    returnOverflowingTokens: true,
    returnOffsets: true,
  });
  const pixels = image === null ? null : await pixelsOf(context, image, checked.signal);
  const count = checked.top_k ?? 1;
  const found: WordAnswer[] = [];
  let none = Number.POSITIVE_INFINITY;
  for (const [row, ids] of inputIds.entries()) {
    checked.signal?.throwIfAborted();
    const isSpecial = specialTokensMask[row] as number[];
    const first = isSpecial.indexOf(0, isSpecial.indexOf(1, isSpecial.indexOf(0)));
    const tokenSpans = offsets[row] ?? [];
    const owners = ids.map((_, i) => (i < first || isSpecial[i] ? null : wordAt(tokenSpans[i]?.[0] ?? 0)));
    const bbox = owners.map((word) => (word === null ? [0, 0, 0, 0] : [...(words[word] as WordBox)[1]]));
    const { starts, ends } = await scoresOf(context, ids, bbox, pixels);
    const { spans, noAnswer } = bestSpans(
      { starts, ends, first, isSpecial },
      { count, longest: checked.max_answer_len ?? 15 },
    );
    none = Math.min(none, noAnswer);
    for (const { first: from, last: to, score } of spans) {
      const [start, end] = [owners[from] as number, owners[to] as number];
      const answer = words
        .slice(start, end + 1)
        .map(([word]) => word)
        .join(' ');
      found.push({ score, answer, start, end });
    }
    checked.onProgress?.({ done: row + 1, total: inputIds.length });
  }
  if (checked.handle_impossible_answer) found.push({ score: none, answer: '', start: 0, end: 0 });
  return found.sort((a, b) => b.score - a.score).slice(0, count);
}

/** Returns the words and their boxes. Throws ArgumentError. */
function wordsOf({ task, model }: TaskContext, boxes: unknown): readonly WordBox[] {
  const expected = '[[word, [left, top, right, bottom]], …] with edges in thousandths of the page';
  if (boxes === undefined)
    throw new ArgumentError(
      `${task}: ${model.config.model_type} reads words with their boxes, but word_boxes is missing: give ${expected}, as a program for OCR finds them`,
    );
  const isEdge = (edge: unknown) => Number.isInteger(edge) && (edge as number) >= 0 && (edge as number) <= 1000;
  const isWord = (box: unknown) =>
    Array.isArray(box) &&
    typeof box[0] === 'string' &&
    Array.isArray(box[1]) &&
    box[1].length === 4 &&
    box[1].every(isEdge);
  const list: readonly unknown[] = Array.isArray(boxes) ? boxes : [];
  const odd = list.findIndex((box) => !isWord(box));
  if (odd < 0 && list.length > 0) return list as readonly WordBox[];
  const found =
    odd < 0 ? `word_boxes is ${describeValue(boxes)}` : `word_boxes[${odd}] is ${JSON.stringify(list[odd])}`;
  throw new ArgumentError(`${task}: ${found}, expected ${expected}`);
}

/**
 * Joins words to a text, in which a tokenizer that begins words with a space finds the same tokens. `wordAt` returns
 * the index of the word at a code point of the text.
 */
function joined(words: readonly string[]): { text: string; wordAt: (position: number) => number } {
  const starts: number[] = [];
  let text = '';
  let length = 0;
  for (const word of words) {
    const part = /^\s|^$/.test(word) ? word : ` ${word}`;
    starts.push(word === '' ? Number.POSITIVE_INFINITY : length);
    text += part;
    length += [...part].length;
  }
  return { text, wordAt: (position) => starts.findLastIndex((start) => start <= position) };
}

/** Scores of each token as the first and as the last one of an answer. */
async function scoresOf(
  { model }: TaskContext,
  ids: readonly number[],
  bbox: readonly number[][],
  pixels: { data: Float32Array; shape: readonly number[] } | null,
): Promise<{ starts: Float32Array; ends: Float32Array }> {
  const outputs = await inferenceAsync(model, function* () {
    const image = pixels ? { pixelValues: model.device.tensor(pixels.data, pixels.shape) } : {};
    const { startLogits, endLogits } = yield* model.forwardInParts({ inputIds: [ids], bbox: [bbox], ...image });
    return [startLogits, endLogits] as [Tensor, Tensor];
  });
  try {
    const [starts, ends] = (await Tensor.dataOf(outputs)) as [Float32Array, Float32Array];
    return { starts: starts.subarray(0, ids.length), ends: ends.subarray(0, ids.length) }; // without those of patches
  } finally {
    for (const output of outputs) output.dispose();
  }
}

async function pixelsOf(context: TaskContext, image: ImageInput, signal: AbortSignal | undefined) {
  const raw = await decoded(context.task, image, signal);
  const { data, shape } = await inSlices(processorOf(context).processInParts([raw]));
  await new Promise<void>((resolve) => afterEvents(resolve));
  return { data, shape };
}
