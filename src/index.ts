// What a first page needs; all that a folder has is in its subpath: simdformer/nn, /ops, /train and so on. It comes from where
// it is, not from the folders' indices: a bundler that makes several files puts all that those export into the first one.

export type { InstructionSet } from './backend/backend.js';
export { createDevice, type DeviceOptions } from './core/create-device.js';
export type { DeviceInfo } from './core/device.js';
export * from './core/errors.js';
export { Scalar } from './core/operand.js';
export type { Program } from './core/program.js';
export { type Device, type DType, type NestedNumbers, type Shape, Tensor, type TensorData } from './core/tensor.js';
export type { GenerateOptions, GenerateResult, TokenEvent } from './generate/index.js';
export type { TransformerConfig, TransformerOptions } from './models/config.js';
export { Transformer } from './models/families/transformer.js';
export { type QuantizeOptions, quantize } from './models/quantize.js';
export { type LoadModelOptions, loadModel, loadTokenizer } from './pretrained/load-later.js';
export type { OnWarning, WarningCode } from './pretrained/warnings.js';
export { CharTokenizer } from './tokenizers/char.js';
export type { Tokenizer } from './tokenizers/tokenizer.js';
export { AdamW } from './train/adamw.js';
export { type FitOptions, type FitResult, fit } from './train/fit.js';
export { linearDecay } from './train/schedule.js';
