export { Adafactor, type AdafactorOptions } from './adafactor.js';
export { AdamW, type AdamWOptions } from './adamw.js';
export type { LengthBatchesOptions } from './batches.js';
export {
  type Batches,
  type Example,
  lengthBatches,
  type Row,
  type ShuffledBatches,
  shuffledBatches,
  windowBatches,
} from './batches.js';
export { clipGradNorm } from './clip.js';
export {
  type ExampleStream,
  type FitOptions,
  type FitResult,
  fit,
  type LossSettings,
  type Objective,
  type Progress,
  type Trainable,
  type Validation,
} from './fit.js';
export type { WeightsKind } from './fit-options.js';
export { Lion, type LionOptions } from './lion.js';
export type { Optimizer, OptimizerState } from './optimizer.js';
export type { NamedTensors } from './parameter-groups.js';
export {
  freeze,
  type GroupRule,
  layerwiseGroups,
  type NamePattern,
  type ParameterGroup,
  parameterGroups,
  unfreeze,
} from './parameter-groups.js';
export type { DecayOptions } from './schedule.js';
export { constant, cosine, inverseSquareRoot, linearDecay, noam, type Schedule } from './schedule.js';
export { SGD, type SGDOptions } from './sgd.js';
export { type StreamBatches, type StreamOptions, streamBatches } from './stream-batches.js';
export type { GradientSumOptions, WireFormat, World } from './world.js';
