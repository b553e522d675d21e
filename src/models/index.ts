export type { TransformerConfig, TransformerOptions } from './config.js';
export type { ModelFiles, SaveOptions, Tokenizers } from './saved.js';
export {
  type AttentionMaps,
  type DecodingOptions,
  type LossOptions,
  type TargetBatch,
  Transformer,
} from './transformer.js';
