// Exports that a first page needs. Everything in a folder is in its subpath: simdformer/nn, /ops, /train and so on.
// Modules are imported directly, not from the folders' indices. A bundler that makes several files would put all
// exports of those into the first one.

export type { InstructionSet, WasmOptions } from './backend/backend.js';
export { createDevice, type DeviceOptions } from './core/create-device.js';
export type { Device, DeviceInfo, MatmulArithmetic } from './core/device.js';
export * from './core/errors.js';
export {
  type HeapValue,
  type NumberOperand,
  type Operand,
  type OperandGroup,
  type Region,
  Scalar,
} from './core/operand.js';
export type { CommandInfo, CommandTiming, Program } from './core/program.js';
export type { Format, Runtime } from './core/runtime.js';
export { type DType, type NestedNumbers, type Shape, Tensor, type TensorData } from './core/tensor.js';
export type { DraftEvent, GenerateOptions, GenerateResult, TokenEvent } from './generate/index.js';
export type { TransformerConfig, TransformerOptions } from './models/config.js';
export { Transformer } from './models/families/transformer.js';
export { type QuantizeOptions, quantize } from './models/quantize.js';
export { type LoadModelOptions, loadModel, loadTextModel, loadTokenizer } from './pretrained/load-later.js';
export type { OnWarning, WarningCode } from './pretrained/warnings.js';
export { CharTokenizer } from './tokenizers/char.js';
export type { Tokenizer } from './tokenizers/tokenizer.js';
export { AdamW } from './train/adamw.js';
export { type FitOptions, type FitResult, fit } from './train/fit.js';
export { linearDecay } from './train/schedule.js';
