// Runs any number of inputs in batches of similar length.

import { afterEvents } from '../backend/after-events.js';
import type { CallOptions } from './task.js';

/** Default number of inputs in a batch. */
export const BATCH_SIZE = 32;

/** The kinds of `CallOptions`, for `checkOptions`. */
export const callOptionKinds = { signal: 'signal', onProgress: 'function', batchSize: 'count' } as const;

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
