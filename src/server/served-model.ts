import type { ContinuousBatching } from '../generate/index.js';
import type { LoadedModel } from '../pretrained/index.js';
import type { PretrainedTokenizer } from '../tokenizers/huggingface.js';
import type { Embedder } from './embedder.js';
import { ApiError } from './errors.js';
import type { Transcriber } from './transcriber.js';

/** A model by the name that clients know it by, and what it can do. */
export interface ServedModel {
  readonly id: string;
  readonly model: LoadedModel;
  /** When it came, in seconds since 1970. */
  readonly created: number;
  /** Of models that go on from prompts. */
  readonly batching: ContinuousBatching | null;
  /** Of models that make vectors of texts. */
  readonly embedder: Embedder | null;
  /** Of models that write what is said. */
  readonly transcriber: Transcriber | null;
}

/** What the models that are served can do, for the document. */
export interface Limits {
  /** Ids of tokens are below this. */
  readonly vocabulary: number;
  /** Tokens of a prompt at most. */
  readonly tokens: number;
}

/** Of the largest of them. */
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
  throw new ApiError(404, `The model '${id}' does not exist; there is ${known}`, 'model_not_found', 'model');
}

/** What a model that goes on from prompts needs to do so. */
export interface Writer {
  readonly served: ServedModel;
  readonly batching: ContinuousBatching;
  readonly tokenizer: PretrainedTokenizer;
}

/** Throws ApiError 400 where the model writes no text. */
export function writerOf(served: ServedModel): Writer {
  const { batching, model } = served;
  if (batching && model.tokenizer) return { served, batching, tokenizer: model.tokenizer };
  const why = batching ? 'has no tokenizer' : 'does not generate text';
  throw new ApiError(400, `The model '${served.id}' ${why}`, 'unsupported_model', 'model');
}
