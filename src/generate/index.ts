export type { MaybeInParts } from '../core/slices.js';
export type { CacheType } from '../ops/kv-cache.js';
export type { BatchedResult, BatchedToken } from './continuous-batching/batched-sequence.js';
export { ContinuousBatching } from './continuous-batching/continuous-batching.js';
export type { BatchedOptions, BatchingOptions } from './continuous-batching/options.js';
export {
  type BatchedRequest,
  type BatchedStream,
  type BatchingLoad,
  QueueFullError,
} from './continuous-batching/requests.js';
export type { Drafter } from './drafter.js';
export { generate, stream } from './generate.js';
export type {
  CachedText,
  DraftEvent,
  DraftModel,
  FinishReason,
  GenerateOptions,
  GenerateResult,
  TokenEvent,
} from './generate-options.js';
export type { DecodingOptions, ExtendOptions, Generative, RowAdapter, SourceShape } from './generative.js';
export type { LogitsProcessor, ScoreProcessor, SequenceBounds } from './logits-processor.js';
export type { TokenIds } from './option-table.js';
export {
  epsilonCutoff,
  etaCutoff,
  minP,
  noRepeatNgram,
  repetitionPenalty,
  temperature,
  topH,
  topK,
  topP,
  typicalP,
} from './processors.js';
export { PromptCache, type PromptCacheOptions } from './prompt-cache.js';
export type {
  CallableTool,
  FormatConstraint,
  ResponseFormat,
  ToolCallSyntax,
  ToolCallSyntaxName,
  ToolCallsFormat,
} from './response-format.js';
