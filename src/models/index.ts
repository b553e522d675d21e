export type { TransformerConfig, TransformerOptions } from './config.js';
export type { DecodingOptions } from './decoding.js';
export type { ModelFiles, SaveOptions, Tokenizers } from './saved.js';
export type { LossOptions, TargetBatch } from './targets.js';
export { type AttentionMaps, Transformer } from './transformer.js';
