export type { TransformerConfig, TransformerOptions } from './config.js';
export { Transformer } from './families/transformer.js';
export { Model } from './model.js';
export { type QuantizeOptions, quantize, type WeightFormat } from './quantize.js';
export type { ModelFiles, SaveOptions, Tokenizers } from './saved.js';
export type { ScoreResult } from './score.js';
export { SequenceModel } from './sequence-model.js';
export type { LossOptions, TargetBatch } from './targets.js';
