// Public ops. Other files are internal: broadcast, backward and the inputs of attention contain no op. The ops of
// kv-cache and top-k write into given tensors, which gradients cannot follow.

export { type Activation, gelu, hardSwish, mish, quickGelu, relu, sigmoid, silu, tanh } from './activation.js';
export { type AttentionOptions, type AttentionValueOptions, attention, type Lengths } from './attention.js';
export { type AttentionWeightsOptions, attentionWeights } from './attention-weights.js';
export { type ArgOptions, argmax, argmin, cumsum, max, min, type TopKOptions, topk } from './axis.js';
export {
  add,
  div,
  equal,
  greater,
  greaterEqual,
  less,
  lessEqual,
  maximum,
  minimum,
  mul,
  neg,
  notEqual,
  pow,
  scale,
  sub,
  where,
} from './binary.js';
export { type CausalConvOptions, causalConv } from './causal-conv.js';
export { contiguous } from './contiguous.js';
export type { ConvOptions, Steps } from './conv.js';
export { type Conv1dOptions, type Conv2dOptions, conv1d, conv2d } from './conv.js';
export type { ConvTransposeOptions } from './conv-transpose.js';
export {
  type ConvTranspose1dOptions,
  type ConvTranspose2dOptions,
  convTranspose1d,
  convTranspose2d,
} from './conv-transpose.js';
export { type CrossEntropyOptions, crossEntropy, type NllLossOptions, nllLoss } from './cross-entropy.js';
export { type CtcLossOptions, ctcLoss } from './ctc-loss.js';
export { type DropoutOptions, dropout } from './dropout.js';
export { type EmbeddingOptions, embedding } from './embedding.js';
export { type GridSampleOptions, gridSample } from './grid-sample.js';
export { type GroupedRows, groupedLinear, groupRows } from './grouped.js';
export type { PerAxis } from './interpolate.js';
export { type InterpolateOptions, type InterpolationMode, interpolate } from './interpolate.js';
export type { CacheFormat, CacheType } from './kv-cache.js';
export { addLayerNorm, type LayerNormOptions, layerNorm, layerNormWithStats } from './layer-norm.js';
export { type LinearOptions, linear } from './linear.js';
export { gatedDeltaRule, type ScanInputs, type ScanOptions, selectiveStateSpace } from './linear-scan.js';
export type { Reduction } from './losses.js';
export {
  type BceWithLogitsOptions,
  bceWithLogits,
  type CosineSimilarityOptions,
  cosineSimilarity,
  type ElementLossOptions,
  type KlDivOptions,
  klDiv,
  l1Loss,
  mseLoss,
  type SmoothL1LossOptions,
  smoothL1Loss,
} from './losses.js';
export { type MatmulOptions, matmul } from './matmul.js';
export { concat, gather, pack, permute, slice, split, transpose, unpack } from './move.js';
export type { PackedFormat } from './packed.js';
export { type PadOptions, pad, roll } from './pad.js';
export type { PieceOptions } from './pieces.js';
export { type PixelShuffleOptions, pixelShuffle, pixelUnshuffle } from './pixel-shuffle.js';
export type { AvgPoolOptions, MaxPoolOptions } from './pool.js';
export {
  type AvgPool1dOptions,
  type AvgPool2dOptions,
  adaptiveAvgPool1d,
  adaptiveAvgPool2d,
  avgPool1d,
  avgPool2d,
  type MaxPool1dOptions,
  type MaxPool2dOptions,
  maxPool1d,
  maxPool2d,
} from './pool.js';
export { mean, type ReduceOptions, sum } from './reduce.js';
export { type RmsNormOptions, rmsNorm } from './rms-norm.js';
export { type RotaryOptions, rotary, rotaryTable } from './rotary.js';
export { logSoftmax, type SoftmaxOptions, softmax } from './softmax.js';
export { type NormOptions, norm, std, type VarianceOptions, variance } from './statistics.js';
export {
  abs,
  type ClampOptions,
  clamp,
  cos,
  elu,
  exp,
  floor,
  leakyRelu,
  log,
  round,
  rsqrt,
  sign,
  sin,
  softplus,
  sqrt,
} from './unary.js';
