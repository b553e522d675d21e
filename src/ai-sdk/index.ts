export type { EmbedOptions } from '../frameworks/embed.js';
export type { LocalModelsOptions, ModelId } from '../frameworks/local-models.js';
export type { SimdformerLanguageOptions } from './call-options.js';
export type {
  SimdformerEmbeddingOptions,
  SimdformerSpeechOptions,
  SimdformerTranscriptionOptions,
} from './other-models.js';
export {
  createSimdformer,
  type SimdformerOptions,
  type SimdformerProvider,
  type SimdformerProviderV3,
  simdformer,
} from './provider.js';
