// Conversations with the same model. Conversations with the same beginning share its cache, and simultaneous answers
// are one batch.

import { SharedBatch } from '../../generate/continuous-batching/shared-batch.js';
import type { BatchedOptions, BatchedStream } from '../../generate/index.js';
import { keptOf } from '../../generate/model-decoders.js';
import { commonLength, type PromptCache } from '../../generate/prompt-cache.js';
import type { ChatModel } from './chat-options.js';

/** Minimum number of tokens that are copied from the cache of another conversation instead of being read again. */
const MIN_SHARED = 16;

/** Caches of conversations, by the format of their keys and values and the length of their contexts. */
const groups = new WeakMap<ChatModel, Map<string, Set<PromptCache>>>();

const keyOf = ({ cacheType, maxLength }: PromptCache) => `${cacheType} ${maxLength}`;

/** Adds a conversation to those of the model. */
export function join(model: ChatModel, cache: PromptCache): void {
  const caches = groups.get(model) ?? new Map<string, Set<PromptCache>>();
  groups.set(model, caches);
  const group = caches.get(keyOf(cache)) ?? new Set();
  caches.set(keyOf(cache), group);
  group.add(cache);
}

/** Removes a conversation. When the last one is removed, the batch is freed. */
export function leave(model: ChatModel, cache: PromptCache): void {
  const group = groups.get(model)?.get(keyOf(cache));
  if (!group?.delete(cache) || group.size > 0) return;
  groups.get(model)?.delete(keyOf(cache));
  if (keptOf(model)) SharedBatch.release(model, cache);
}

/** Copies the longest beginning of `ids` that another conversation has read to `cache`, if it is long enough. */
export function share(model: ChatModel, cache: PromptCache, ids: readonly number[]): void {
  let best: PromptCache | null = null;
  let maxCommon = commonLength(cache.tokens, ids) + MIN_SHARED;
  for (const other of groups.get(model)?.get(keyOf(cache)) ?? []) {
    if (other === cache || other.isBusy) continue;
    // Only tokens that were read as a prompt are copied. Generated tokens are rounded differently, and results must not
    // depend on other conversations.
    const common = Math.min(commonLength(other.tokens, ids), other.readCount);
    if (common >= maxCommon) [best, maxCommon] = [other, common];
  }
  if (best !== null) cache.share(best, ids.slice(0, maxCommon));
}

/**
 * Generates after `ids` in the batch that the model's calls and conversations share. Throws as
 * `ContinuousBatching.stream`.
 */
export async function* answerInBatch(
  model: ChatModel,
  cache: PromptCache,
  ids: readonly number[],
  options: BatchedOptions,
): BatchedStream {
  const batch = SharedBatch.of(model, cache);
  batch.enter();
  try {
    const batching = await batch.batching();
    return yield* batching.stream(ids, { ...options, cache });
  } finally {
    batch.leave();
    if (keptOf(model) && !groups.get(model)?.has(keyOf(cache))) SharedBatch.release(model, cache);
  }
}
