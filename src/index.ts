// What a first page needs; all that a folder has is in its subpath: simdformer/nn, /ops, /train and so on.

export { createDevice, type DeviceOptions } from './core/create-device.js';
export type { DeviceInfo } from './core/device.js';
export * from './core/errors.js';
export { Scalar } from './core/operand.js';
export type { Program } from './core/program.js';
export { type Device, type DType, type NestedNumbers, type Shape, Tensor, type TensorData } from './core/tensor.js';
export type { GenerateOptions, GenerateResult, TokenEvent } from './generate/index.js';
export {
  type QuantizeOptions,
  quantize,
  Transformer,
  type TransformerConfig,
  type TransformerOptions,
} from './models/index.js';
export { type LoadModelOptions, loadModel } from './pretrained/load-later.js';
export { CharTokenizer, loadTokenizer, type Tokenizer } from './tokenizers/index.js';
export { AdamW, type FitOptions, type FitResult, fit, linearDecay } from './train/index.js';
