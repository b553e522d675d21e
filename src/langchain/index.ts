export type { LocalModelsOptions, ModelId } from '../frameworks/local-models.js';
export type { SamplingSettings } from '../frameworks/sampling.js';
export {
  ChatSimdformer,
  type ChatSimdformerCallOptions,
  type ChatSimdformerFields,
  type ChatSimdformerSettings,
} from './chat-simdformer.js';
export { SimdformerEmbeddings, type SimdformerEmbeddingsFields } from './simdformer-embeddings.js';
export { SimdformerRerank, type SimdformerRerankFields } from './simdformer-rerank.js';
