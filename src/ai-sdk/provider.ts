import * as installed from '@ai-sdk/provider';
import {
  type EmbeddingModelV3,
  type EmbeddingModelV4,
  type LanguageModelV3,
  type LanguageModelV4,
  NoSuchModelError,
  type ProviderV3,
  type ProviderV4,
  type RerankingModelV3,
  type RerankingModelV4,
  type SpeechModelV3,
  type SpeechModelV4,
  type TranscriptionModelV3,
  type TranscriptionModelV4,
} from '@ai-sdk/provider';
import { checkOptions, describeValue } from '../core/check.js';
import { LocalModels, type LocalModelsOptions, type ModelId, nameOf } from '../frameworks/local-models.js';
import { ArgumentError } from '../index.js';
import { SimdformerLanguageModel } from './language-model.js';
import {
  SimdformerEmbeddingModel,
  SimdformerRerankingModel,
  SimdformerSpeechModel,
  SimdformerTranscriptionModel,
} from './other-models.js';

export interface SimdformerOptions extends LocalModelsOptions {
  /**
   * The version of the AI SDK's provider specification: 'v4' for `ai` 7, 'v3' for `ai` 6. Default: that of the
   * installed package @ai-sdk/provider, which `ai` brings.
   */
  specificationVersion?: 'v3' | 'v4' | undefined;
}

/** The version of the installed package: 4 has this error, 3 does not. npm installs `ai` 6 in Node 20. */
const INSTALLED = 'NoSuchProviderReferenceError' in installed ? 'v4' : 'v3';

/** The members that providers of both versions have, except models. */
interface Common {
  /** Throws NoSuchModelError, because there are no models that generate images. */
  imageModel(id: string): never;
  /** Frees the models that this provider loaded, and the device that it opened. */
  dispose(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** A provider of specification V4. Ids are models: see `ModelId`. */
export interface SimdformerProvider extends Common, ProviderV4 {
  (id: ModelId): LanguageModelV4;
  languageModel(id: ModelId): LanguageModelV4;
  embeddingModel(id: ModelId): EmbeddingModelV4;
  rerankingModel(id: ModelId): RerankingModelV4;
  transcriptionModel(id: ModelId): TranscriptionModelV4;
  speechModel(id: ModelId): SpeechModelV4;
  imageModel(id: string): never;
}

/** A provider of specification V3. Ids are models: see `ModelId`. */
export interface SimdformerProviderV3 extends Common, ProviderV3 {
  (id: ModelId): LanguageModelV3;
  languageModel(id: ModelId): LanguageModelV3;
  embeddingModel(id: ModelId): EmbeddingModelV3;
  rerankingModel(id: ModelId): RerankingModelV3;
  transcriptionModel(id: ModelId): TranscriptionModelV3;
  speechModel(id: ModelId): SpeechModelV3;
  imageModel(id: string): never;
}

/**
 * A provider for the AI SDK whose models run on this machine.
 *
 * ```ts
 * const simdformer = createSimdformer({ weights: 'int8' });
 * const { text } = await generateText({ model: simdformer('Qwen/Qwen3-0.6B'), prompt: 'Name three cats.' });
 * ```
 *
 * Models are loaded when they are first used. Calls with one model that overlap in time are computed as one batch.
 * Throws ArgumentError for an unknown `specificationVersion`. Other options are checked when a model is loaded.
 */
export function createSimdformer(
  options?: SimdformerOptions & { specificationVersion?: 'v4' | undefined },
): SimdformerProvider;
export function createSimdformer(options: SimdformerOptions & { specificationVersion: 'v3' }): SimdformerProviderV3;
export function createSimdformer(simdformerOptions: SimdformerOptions = {}): SimdformerProvider | SimdformerProviderV3 {
  const { specificationVersion = INSTALLED, ...options } = checkOptions('createSimdformer', simdformerOptions);
  if (specificationVersion !== 'v3' && specificationVersion !== 'v4')
    throw new ArgumentError(
      `createSimdformer: specificationVersion is ${describeValue(specificationVersion)}, expected 'v3' or 'v4'`,
    );
  const models = new LocalModels(options);
  // Models read and write the same in both versions.
  const versioned = <T extends object>(model: T): T => Object.assign(model, { specificationVersion });
  const languageModel = (id: ModelId) => versioned(new SimdformerLanguageModel(models, id));
  const dispose = () => models.dispose();
  const provider = Object.assign((id: ModelId) => languageModel(id), {
    specificationVersion,
    languageModel,
    embeddingModel: (id: ModelId) => versioned(new SimdformerEmbeddingModel(models, id)),
    rerankingModel: (id: ModelId) => versioned(new SimdformerRerankingModel(models, id)),
    transcriptionModel: (id: ModelId) => versioned(new SimdformerTranscriptionModel(models, id)),
    speechModel: (id: ModelId) => versioned(new SimdformerSpeechModel(models, id)),
    imageModel: noImageModel,
    dispose,
    [Symbol.asyncDispose]: dispose,
  });
  return provider as unknown as SimdformerProvider;
}

function noImageModel(id: ModelId): never {
  const modelId = nameOf(id);
  throw new NoSuchModelError({
    modelId,
    modelType: 'imageModel',
    message: `simdformer has no models that draw: ${modelId}`,
  });
}

/** The provider with default options. */
export const simdformer = createSimdformer();
