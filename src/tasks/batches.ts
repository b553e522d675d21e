// Runs any number of inputs in batches of similar length.

import { afterEvents } from '../backend/after-events.js';
import { checkFunction, checkNumber, checkOptions, checkSignal, isCount } from '../core/check.js';
import type { CallOptions } from './task.js';

/** Default number of inputs in a batch. */
export const BATCH_SIZE = 32;

/** Kinds for `checkOptions`. `checkCallOptions` checks the values. */
export const callOptionKinds = { signal: 'any', onProgress: 'any', batchSize: 'any' } as const;

/** Throws ArgumentError for invalid call options. */
export function checkCallOptions(task: string, options: CallOptions): void {
  const { signal, onProgress, batchSize } = checkOptions(task, options);
  checkSignal(task, signal);
  if (onProgress !== undefined) checkFunction(`${task}: onProgress`, onProgress);
  if (batchSize !== undefined) checkNumber(task, 'batchSize', batchSize, isCount, 'a positive integer');
}

/**
 * Results of `run` for all items, in order. Batches have items of similar size. The largest come first, so that a lack
 * of memory shows at once. Yields to the event loop between batches. Rejects with the reason of `signal`, and the
 * errors of `run`.
 */
export async function inBatches<Item, Result>(
  items: readonly Item[],
  sizeOf: (item: Item) => number,
  run: (batch: Item[]) => Promise<readonly Result[]>,
  { signal, onProgress, batchSize = BATCH_SIZE }: CallOptions,
): Promise<Result[]> {
  const sizes = items.map(sizeOf);
  const order = [...items.keys()].sort((a, b) => (sizes[b] as number) - (sizes[a] as number) || a - b);
  const results = new Array<Result>(items.length);
  for (let start = 0; start < order.length; start += batchSize) {
    signal?.throwIfAborted();
    const indices = order.slice(start, start + batchSize);
    const batch = await run(indices.map((index) => items[index] as Item));
    for (const [i, index] of indices.entries()) results[index] = batch[i] as Result;
    onProgress?.({ done: start + indices.length, total: items.length });
    await new Promise<void>((resolve) => afterEvents(resolve));
  }
  signal?.throwIfAborted();
  return results;
}
