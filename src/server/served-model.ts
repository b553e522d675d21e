import type { ContinuousBatching } from '../generate/index.js';
import type { LoadedModel } from '../pretrained/index.js';
import type { TokenBound } from '../tasks/chat/token-bound.js';
import type { PretrainedTokenizer } from '../tokenizers/huggingface.js';
import type { Embedder } from './embedder.js';
import { ApiError } from './errors.js';
import type { Ranker } from './ranker.js';
import type { Speaker } from './speaker.js';
import type { Transcriber } from './transcriber.js';

/** A model with the name that clients use, and what it can do. */
export interface ServedModel {
  readonly id: string;
  readonly model: LoadedModel;
  /** The time at which serving began, in seconds since 1970. */
  readonly created: number;
  /** Null for models that do not continue prompts. */
  readonly batching: ContinuousBatching | null;
  /** Null for models that do not embed texts. */
  readonly embedder: Embedder | null;
  /** Null for models that do not rank documents. */
  readonly ranker: Ranker | null;
  /** Null for models that do not transcribe speech. */
  readonly transcriber: Transcriber | null;
  /** The hosts that images are fetched from. */
  readonly imageHosts: readonly string[];
  /** Null for models that do not speak. */
  readonly speaker: Speaker | null;
  /** A lower bound of a text's tokens. */
  readonly tokenBound: TokenBound;
}

/** The limits of the served models, for the OpenAPI document. */
export interface Limits {
  /** Token ids are below this number. */
  readonly vocabulary: number;
  /** The maximum number of tokens of a prompt. */
  readonly tokens: number;
}

/** The limits of the largest model. */
export function limitsOf(models: readonly ServedModel[]): Limits {
  return {
    vocabulary: Math.max(1, ...models.map(({ model }) => model.vocabSize)),
    tokens: Math.max(
      1,
      ...models.map(({ batching, embedder }) => (batching ? batching.context - 1 : (embedder?.maxTokens ?? 1))),
    ),
  };
}

/** The model of a request. Throws ApiError 404. */
export function servedModel(models: ReadonlyMap<string, ServedModel>, id: string): ServedModel {
  const found = models.get(id);
  if (found) return found;
  const known = [...models.keys()].join(', ');
  throw new ApiError(404, `The model '${id}' does not exist, expected one of ${known}`, 'model_not_found', 'model');
}

/** A model that continues prompts, with what it needs. */
export interface Writer {
  readonly served: ServedModel;
  readonly batching: ContinuousBatching;
  readonly tokenizer: PretrainedTokenizer;
}

/** Throws ApiError 400 for a model that does not generate text. */
export function writerOf(served: ServedModel): Writer {
  const { batching, model } = served;
  if (batching && model.tokenizer) return { served, batching, tokenizer: model.tokenizer };
  const why = batching ? 'has no tokenizer' : 'does not generate text';
  throw new ApiError(400, `The model '${served.id}' ${why}`, 'unsupported_model', 'model');
}
