import type { ModelPool } from './model-pool.js';
import type { ServedModel } from './served-model.js';

/** The limits of the served models, for the OpenAPI document. */
export interface Limits {
  /** Token ids are below this number. */
  readonly vocabulary: number;
  /** The maximum number of tokens of a prompt. */
  readonly tokens: number;
  /** The maximum number of dimensions of a vector. */
  readonly dimensions: number;
}

/** Limits if a model is not in memory yet. Its own limits are checked after it is loaded. */
const UNKNOWN: Limits = { vocabulary: 2 ** 24, tokens: 2 ** 20, dimensions: 2 ** 16 };

/** Returns the largest limits of some models. */
export function limitsOf(models: ModelPool, isAble: (served: ServedModel) => boolean): Limits {
  if (!models.isComplete) return UNKNOWN;
  const able = models.inMemory.filter(isAble);
  return {
    vocabulary: Math.max(1, ...able.map(({ model }) => model.vocabSize)),
    tokens: Math.max(
      1,
      ...able.map(({ batching, embedder }) => (batching ? batching.context - 1 : (embedder?.maxTokens ?? 1))),
    ),
    dimensions: Math.max(1, ...able.map(({ embedder }) => embedder?.size ?? 1)),
  };
}
