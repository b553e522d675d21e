import type { ContinuousBatching } from '../generate/index.js';
import type { LoadedModel } from '../pretrained/index.js';
import type { TokenBound } from '../tasks/chat/token-bound.js';
import type { PretrainedTokenizer } from '../tokenizers/huggingface.js';
import type { Embedder } from './embedder.js';
import { ApiError } from './errors.js';
import type { PipelineRunner } from './pipeline-runner.js';
import type { Ranker } from './ranker.js';
import type { Speaker } from './speaker.js';
import type { Transcriber } from './transcriber.js';

/** A model with the name that clients use, and what it can do. */
export interface ServedModel {
  readonly id: string;
  readonly model: LoadedModel;
  /** The time at which serving began, in seconds since 1970. */
  readonly created: number;
  /** Names of the adapters, for requests of a batch that several choices share. Undefined: the active ones. */
  readonly adapter: readonly string[] | undefined;
  /** Null for models that do not continue prompts. */
  readonly batching: ContinuousBatching | null;
  /** Null for models that do not embed texts. */
  readonly embedder: Embedder | null;
  /** Null for models that do not rank documents. */
  readonly ranker: Ranker | null;
  /** Null for models that do not transcribe speech. */
  readonly transcriber: Transcriber | null;
  /** Pipelines of images and sounds. */
  readonly pipelines: PipelineRunner;
  /** The hosts that images are fetched from. */
  readonly imageHosts: readonly string[];
  /** Null for models that do not speak. */
  readonly speaker: Speaker | null;
  /** A lower bound of a text's tokens. */
  readonly tokenBound: TokenBound;
}

/** A served model that generates text, with its batching and tokenizer. */
export interface ServedTextModel {
  readonly served: ServedModel;
  readonly batching: ContinuousBatching;
  readonly tokenizer: PretrainedTokenizer;
}

/** Throws ApiError 400 for a model that does not generate text. */
export function textModelOf(served: ServedModel): ServedTextModel {
  const { batching, model } = served;
  if (batching && model.tokenizer) return { served, batching, tokenizer: model.tokenizer };
  const why = batching ? 'has no tokenizer' : 'does not generate text';
  throw new ApiError(400, `The model '${served.id}' ${why}`, 'unsupported_model', 'model');
}
