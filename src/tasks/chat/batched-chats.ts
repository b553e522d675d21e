// The conversations with a model. Those that begin alike share what was read, and answers at the same time are one batch.

import { type BatchedOptions, type BatchedStream, ContinuousBatching } from '../../generate/index.js';
import { disposeWith, forget } from '../../generate/model-decoders.js';
import { commonLength, type PromptCache } from '../../generate/prompt-cache.js';
import { maxCacheRows } from '../../ops/kv-cache.js';
import type { ChatModel } from './chat-options.js';

/** Minimum number of tokens that are copied from another conversation instead of being read. */
const MIN_SHARED = 16;
/** Answers at the same time; more wait. */
const MAX_PARALLEL = 64;

/** Conversations whose keys and values have one type, in contexts of one length. */
interface Group {
  readonly caches: Set<PromptCache>;
  /** Made for the first answer, and disposed of with the last conversation. */
  batching: ContinuousBatching | null;
}

const groups = new WeakMap<ChatModel, Map<string, Group>>();

const keyOf = ({ type, maxLength }: PromptCache) => `${type} ${maxLength}`;

/** Adds a conversation. */
export function join(model: ChatModel, cache: PromptCache): void {
  const ofModel = groups.get(model) ?? new Map<string, Group>();
  groups.set(model, ofModel);
  const group = ofModel.get(keyOf(cache)) ?? { caches: new Set(), batching: null };
  ofModel.set(keyOf(cache), group);
  group.caches.add(cache);
}

/** Takes a conversation out. */
export function leave(model: ChatModel, cache: PromptCache): void {
  const group = groups.get(model)?.get(keyOf(cache));
  if (!group?.caches.delete(cache) || group.caches.size > 0) return;
  groups.get(model)?.delete(keyOf(cache));
  if (group.batching === null) return;
  forget(model, group.batching);
  void group.batching.dispose();
}

/** Lets `cache` begin with what another conversation has read of `ids`, if that is long enough. */
export function share(model: ChatModel, cache: PromptCache, ids: readonly number[]): void {
  let best: PromptCache | null = null;
  let most = commonLength(cache.tokens, ids) + MIN_SHARED;
  for (const other of groups.get(model)?.get(keyOf(cache))?.caches ?? []) {
    if (other === cache || other.isBusy) continue;
    // Tokens that a model wrote are rounded otherwise than tokens that it read: bits must not depend on other conversations.
    const common = Math.min(commonLength(other.tokens, ids), other.readCount);
    if (common >= most) [best, most] = [other, common];
  }
  if (best !== null) cache.share(best, ids.slice(0, most));
}

/**
 * True if several answers of the model can form a batch. A model that reads long texts again needs its states for
 * itself.
 */
export function canJoin({ rereadLength }: ChatModel): boolean {
  return !rereadLength;
}

/** Goes on from `ids` in the batch of all conversations of this kind. Throws as `ContinuousBatching.stream`. */
export function answerInBatch(
  model: ChatModel,
  cache: PromptCache,
  ids: readonly number[],
  options: BatchedOptions,
): BatchedStream {
  const group = groups.get(model)?.get(keyOf(cache)) as Group;
  group.batching ??= startBatching(model, cache);
  return group.batching.stream(ids, { ...options, cache });
}

function startBatching(model: ChatModel, { type, maxLength }: PromptCache): ContinuousBatching {
  const batching = new ContinuousBatching(model, {
    parallel: Math.min(MAX_PARALLEL, maxCacheRows(model.device)),
    context: maxLength + 1,
    maxWaiting: Number.MAX_SAFE_INTEGER,
    reserve: false,
    cache: type,
  });
  disposeWith(model, batching);
  return batching;
}
