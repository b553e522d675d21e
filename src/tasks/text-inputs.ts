// Preparation of texts for models, and batches of model passes that do not block the event loop.

import { checkArray, describeValue } from '../core/check.js';
import { ArgumentError, FormatError } from '../core/errors.js';
import { joinFloats } from '../core/join-floats.js';
import { Tensor } from '../core/tensor.js';
import { yieldToEventLoop } from '../core/yield-to-event-loop.js';
import type { ModelInputs, ModelOutput } from '../models/inputs.js';
import { hasSegments } from '../models/segments.js';
import { tokenBatches } from '../models/token-batches.js';
import { inferenceAsync } from '../nn/inference-async.js';
import { packed } from '../nn/token-batch.js';
import type { LoadedModel } from '../pretrained/load-later.js';
import type { BatchEncoding, EncodeBatchOptions } from '../tokenizers/batch-encoding.js';
import type { PretrainedTokenizer } from '../tokenizers/huggingface.js';
import { inBatches } from './batches.js';
import type { CallOptions, TaskContext } from './task.js';

/** Returns the tokenizer of a task's model. Throws FormatError if it has none. */
export function tokenizerOf({ task, model }: TaskContext): PretrainedTokenizer {
  if (model.tokenizer) return model.tokenizer;
  throw new FormatError(`${task}: the model's folder has no tokenizer, expected tokenizer.json beside config.json`);
}

/** Returns one text or several as a list. Throws ArgumentError, which names the item that is not a string. */
export function textsOf(task: string, texts: string | readonly string[], name = 'texts'): readonly string[] {
  const list: unknown = typeof texts === 'string' ? [texts] : texts;
  if (!Array.isArray(list))
    throw new ArgumentError(`${task}: ${name} is ${describeValue(texts)}, expected a string or an array of strings`);
  const odd = list.findIndex((text) => typeof text !== 'string'); // also finds the holes of an array
  if (odd >= 0) throw new ArgumentError(`${task}: ${name}[${odd}] is ${describeValue(list[odd])}, expected a string`);
  return list;
}

/** Throws ArgumentError unless the labels of a zero-shot task are one text or more. */
export function checkCandidateLabels(task: string, labels: readonly string[]): void {
  checkArray(task, 'candidate_labels', labels, 'an array of texts');
  textsOf(task, labels, 'candidate_labels');
  if (labels.length === 0) throw new ArgumentError(`${task}: candidate_labels is [], expected at least one label`);
}

/** Returns the maximum number of tokens of a sequence: the model's limit, or its tokenizer's if that is lower. */
export function tokenLimit(model: LoadedModel): number {
  const limit = model.tokenizer?.config?.model_max_length;
  return typeof limit === 'number' ? Math.min(limit, model.maxLength) : model.maxLength;
}

/** Same as `tokenLimit`, or lower if a model of sentence-transformers has a limit. */
export function sentenceLimit(model: LoadedModel): number {
  return Math.min(model.sentenceTokens ?? Infinity, tokenLimit(model));
}

/** A text, or two that are read as one sequence. */
export type TextOrPair = readonly [text: string, pair?: string | undefined];

/** Options of tasks that read texts up to the model's limit. */
export interface TruncationOptions {
  /**
   * True cuts the end of a text that has more tokens than the model reads. False rejects it with an ArgumentError that
   * names the text, its length and the limit. Default: true.
   */
  truncate?: boolean | undefined;
}

/** Rejects with ArgumentError if `truncate` is false and a text has more tokens than `limit`. */
export async function checkFits(
  context: TaskContext,
  texts: readonly TextOrPair[],
  { truncate = true, signal, batchSize }: TruncationOptions & CallOptions,
  limit = tokenLimit(context.model),
): Promise<void> {
  if (truncate) return;
  const tokenizer = tokenizerOf(context);
  const lengthsOf = async (batch: TextOrPair[]) => {
    const pairs = batch[0]?.[1] === undefined ? {} : { textPair: batch.map(([, pair]) => pair ?? '') };
    const options = { truncation: false, returnOffsets: false, ...pairs } as const;
    const { inputIds } = await tokenizer.encodeBatchAsync(
      batch.map(([text]) => text),
      options,
    );
    return inputIds.map(({ length }) => length);
  };
  const lengths = await inBatches(texts, ([text, pair]) => text.length + (pair?.length ?? 0), lengthsOf, {
    signal,
    batchSize,
  });
  const long = lengths.findIndex((length) => length > limit);
  if (long < 0) return;
  const [text] = texts[long] as TextOrPair;
  const excerpt = describeValue(text.length > 40 ? `${text.slice(0, 40)}…` : text);
  throw new ArgumentError(
    `${context.task}: text ${long}, ${excerpt}, has ${lengths[long]} tokens, but the model reads ${limit}: ` +
      'shorten it, or leave truncate out to cut it',
  );
}

/** Encodes texts or pairs, cut to the model's limit and without padding. Offsets and words are computed on request. */
export function encode(
  context: TaskContext,
  texts: readonly string[],
  options: EncodeBatchOptions = {},
): Promise<BatchEncoding> {
  const limit = tokenLimit(context.model);
  const limits = Number.isFinite(limit) ? ({ truncation: true, maxLength: limit } as const) : {};
  return tokenizerOf(context).encodeBatchAsync(texts, { ...limits, returnOffsets: false, ...options });
}

/** Ids of sequences, and for each the text of the pair that it belongs to. */
export type EncodedRows = Pick<BatchEncoding, 'inputIds' | 'tokenTypeIds'>;

/**
 * Runs the model on sequences, packed end to end in batches limited by tokens. Reads the tensors that `pick` chooses
 * from its output, with rows for tokens or sequences. No tensor stays on the device.
 */
export function forward(
  model: LoadedModel,
  rows: EncodedRows,
  pick: (output: ModelOutput) => readonly [Tensor, ...Tensor[]],
): Promise<Float32Array[]> {
  return readRows(model, rows, function* (part) {
    return pick(yield* model.forwardInParts(inputsOf(model, part)));
  });
}

/** Returns the inputs of `forward` for sequences, packed end to end. */
export function inputsOf(model: LoadedModel, { inputIds, tokenTypeIds }: EncodedRows): ModelInputs {
  const ids = packed(inputIds);
  return hasSegments(model) ? { inputIds: ids, tokenTypeIds } : { inputIds: ids };
}

/** Applies `compute` to rows, in batches limited by tokens, and returns the joined values of its tensors. */
export async function readRows(
  model: LoadedModel,
  { inputIds, tokenTypeIds }: EncodedRows,
  compute: (batch: EncodedRows) => Generator<unknown, readonly [Tensor, ...Tensor[]]>,
): Promise<Float32Array[]> {
  const found: Float32Array[][] = [];
  for (const batch of tokenBatches([...inputIds.keys()], (row) => (inputIds[row] as number[]).length)) {
    await yieldToEventLoop();
    const of = <T>(rows: readonly T[]) => batch.map((row) => rows[row] as T);
    found.push(await read(model, () => compute({ inputIds: of(inputIds), tokenTypeIds: of(tokenTypeIds) })));
  }
  return (found[0] ?? []).map((_, i) => joinFloats(found.map((parts) => parts[i] as Float32Array)));
}

/**
 * Returns the values of the tensors that `compute` makes with the model. `compute` may yield to let the event loop run.
 * No tensor stays on the device.
 */
export async function read(
  model: LoadedModel,
  compute: () => Generator<unknown, readonly [Tensor, ...Tensor[]]>,
): Promise<Float32Array[]> {
  const tensors = await inferenceAsync(model, compute);
  try {
    return (await Tensor.dataOf([...tensors])) as Float32Array[];
  } finally {
    for (const tensor of tensors) tensor.dispose();
  }
}

/** Returns the logits of each sequence, for heads that classify sequences. */
export async function sequenceLogits(model: LoadedModel, encoded: EncodedRows): Promise<Float32Array[]> {
  const [logits] = (await forward(model, encoded, (output) => [output.logits as Tensor])) as [Float32Array];
  const size = logits.length / encoded.inputIds.length;
  return encoded.inputIds.map((_, i) => logits.subarray(i * size, (i + 1) * size));
}

/** Returns the logits of each token, for heads that classify tokens: [tokens, logits] per sequence. */
export async function tokenLogits(model: LoadedModel, encoded: EncodedRows): Promise<Float32Array[][]> {
  const [logits] = (await forward(model, encoded, (output) => [output.logits as Tensor])) as [Float32Array];
  const size = logits.length / encoded.inputIds.reduce((sum, { length }) => sum + length, 0);
  let start = 0;
  return encoded.inputIds.map((row) => {
    const rowLogits = row.map((_, i) => logits.subarray((start + i) * size, (start + i + 1) * size));
    start += row.length;
    return rowLogits;
  });
}
