// Many texts through a model, in batches of some tokens.

import { Tensor } from '../../core/tensor.js';
import { yieldToEventLoop } from '../../core/yield-to-event-loop.js';
import { inferenceAsync } from '../../nn/inference-async.js';
import { MAX_BATCH_TOKENS, tokenBatches } from '../token-batches.js';
import type { EncodedTexts } from './features.js';
import type { TextReader } from './reader.js';

/** Progress of a call. */
export interface TextProgress {
  /** Texts that are finished. */
  readonly done: number;
  readonly total: number;
}

export interface BatchOptions {
  /** Ends the call: its promise rejects with the signal's reason, by default an AbortError. */
  readonly signal?: AbortSignal | undefined;
  /** Called after each batch. */
  readonly onProgress?: ((progress: TextProgress) => void) | undefined;
  /** Maximum number of texts in a batch. Results do not depend on it. Default: as many as fit. */
  readonly batchSize?: number | undefined;
}

/** The most numbers that a batch of logits has. */
const MAX_LOGITS = 2 ** 26;

interface Run<Result> {
  /** Returns the tensors of a batch. They are in a separate scope. */
  compute(part: EncodedTexts): Generator<unknown, readonly [Tensor, ...Tensor[]]>;
  /** The result of each text, of the values of these tensors. */
  read(values: readonly (Float32Array | Int32Array)[], part: EncodedTexts): readonly Result[];
}

/**
 * A result for each text, in their order. Texts of similar lengths run side by side, the longest first, and the event
 * loop turns between two batches. No result depends on the batch. `width`: the numbers that a token leaves behind, if
 * they are many.
 */
export async function inTokenBatches<Result>(
  model: Pick<TextReader, 'device'>,
  encoded: EncodedTexts,
  { compute, read }: Run<Result>,
  { signal, onProgress, batchSize = Number.POSITIVE_INFINITY }: BatchOptions,
  width = 1,
): Promise<Result[]> {
  const lengths = encoded.inputIds.map(({ length }) => length);
  const order = [...lengths.keys()].sort((a, b) => (lengths[b] as number) - (lengths[a] as number) || a - b);
  const results = new Array<Result>(lengths.length);
  const max = Math.max(1, Math.min(MAX_BATCH_TOKENS, Math.floor(MAX_LOGITS / width)));
  let done = 0;
  const batches = groups(order, encoded)
    .flatMap((group) => tokenBatches(group, (i) => lengths[i] as number, max))
    .flatMap((batch) => pieces(batch, batchSize));
  for (const indices of batches) {
    signal?.throwIfAborted();
    await yieldToEventLoop();
    const part = partOf(encoded, indices);
    const tensors = await inferenceAsync(model, () => compute(part));
    try {
      const values = read(await Tensor.dataOf([...tensors]), part);
      for (const [i, index] of indices.entries()) results[index] = values[i] as Result;
    } finally {
      for (const tensor of tensors) tensor.dispose();
    }
    done += indices.length;
    onProgress?.({ done, total: lengths.length });
  }
  signal?.throwIfAborted();
  return results;
}

function pieces<Item>(list: readonly Item[], size: number): Item[][] {
  const found: Item[][] = [];
  for (let start = 0; start < list.length; start += size) found.push(list.slice(start, start + size));
  return found;
}

/** Rows with masked tokens are in separate batches of rows of the same length. */
function groups(order: readonly number[], { attentionMask, inputIds }: EncodedTexts): number[][] {
  if (attentionMask === null) return [[...order]];
  const byLength = new Map<string, number[]>();
  for (const index of order) {
    const isHidden = attentionMask[index]?.includes(0) ?? false;
    const key = isHidden ? `${inputIds[index]?.length}` : '';
    byLength.set(key, [...(byLength.get(key) ?? []), index]);
  }
  return [...byLength.values()];
}

function partOf(
  { inputIds, tokenTypeIds, attentionMask, promptTokens }: EncodedTexts,
  indices: readonly number[],
): EncodedTexts {
  const of = <Row>(rows: readonly Row[]) => indices.map((index) => rows[index] as Row);
  const mask = attentionMask && of(attentionMask);
  return {
    inputIds: of(inputIds),
    tokenTypeIds: tokenTypeIds && of(tokenTypeIds),
    attentionMask: mask?.some((row) => row.includes(0)) ? mask : null,
    promptTokens,
  };
}

/** Rows of equal size. */
export function rowsOf(values: Float32Array, count: number): Float32Array[] {
  const size = values.length / Math.max(1, count);
  return Array.from({ length: count }, (_, i) => values.slice(i * size, (i + 1) * size));
}
