export type { BackendOptions } from './backend/backend.js';
export {
  accumulateBits,
  differentiable,
  differentiableMany,
  type GradientTarget,
  gradOf,
  passGrad,
  recompute,
} from './core/autograd.js';
export { createDevice, type DeviceOptions } from './core/create-device.js';
export type { Device, DeviceInfo } from './core/device.js';
export * from './core/errors.js';
export { type Operand, type Placed, type Region, Scalar } from './core/operand.js';
export type { CommandInfo, CommandTiming, Program } from './core/program.js';
export { Random } from './core/random.js';
export { type DType, type NestedNumbers, type Shape, Tensor, type TensorData } from './core/tensor.js';
export * from './generate/index.js';
export * from './inspect/index.js';
export { openSafetensors, type SafetensorsFile, saveSafetensors } from './io/file.js';
export type { LoadOptions } from './io/folder.js';
export {
  parseSafetensors,
  type Safetensors,
  type SafetensorsArray,
  type SafetensorsDType,
  SafetensorsEntry,
  type SafetensorsMetadata,
  type SafetensorsSource,
  type SafetensorsTensor,
  type SafetensorsTensors,
  serializeSafetensors,
} from './io/safetensors.js';
export * from './models/index.js';
export * from './nn/index.js';
export * from './ops/index.js';
export * from './tokenizers/index.js';
export { AdamW, type AdamWOptions, type ParameterGroup } from './train/adamw.js';
export { type Batches, type Example, lengthBatches, type Row, windowBatches } from './train/batches.js';
export { clipGradNorm } from './train/clip.js';
export {
  type FitOptions,
  type FitResult,
  fit,
  type LossSettings,
  type Progress,
  type Trainable,
  type Validation,
} from './train/fit.js';
export type { Optimizer, OptimizerState } from './train/optimizer.js';
export { constant, cosine, inverseSquareRoot, linearDecay, noam, type Schedule } from './train/schedule.js';
export { SGD, type SGDOptions } from './train/sgd.js';
