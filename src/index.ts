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
export type { AttentionMaps } from './inspect/attention-maps.js';
export { type ModelCost, modelCost } from './inspect/cost.js';
export { type HeadStatistics, headStatistics } from './inspect/heads.js';
export { type HeatMapOptions, renderHeatMap } from './inspect/heat-map.js';
export { type OpProfile, profile, renderProfile } from './inspect/profile.js';
export { type AttentionMap, type Curve, curvesSvg, heatMapGridSvg } from './inspect/svg.js';
export {
  type AttentionTrace,
  type EmbeddingTrace,
  type FeedForwardTrace,
  type LayerTrace,
  type NormTrace,
  type StackTrace,
  type SubLayerTrace,
  type Trace,
  trace,
  type Values,
} from './inspect/trace.js';
export { type HeadId, withoutHeads } from './inspect/without-heads.js';
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
