export type { TransformerConfig, TransformerOptions } from './config.js';
export type { DecodingOptions } from './decoding.js';
export type { ModelFiles, SaveOptions, Tokenizers } from './saved.js';
export type { LossOptions, TargetBatch } from './targets.js';
export { Transformer } from './transformer.js';
