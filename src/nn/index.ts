// The parts of models. Letters of shapes, in comments at the end of lines and in docstrings:
//
//   B  sequences of a batch           dModel  features of a token
//   T  tokens of the longest one      heads   heads of queries; kvHeads: of keys and values
//   S  keys that queries attend to    d       features of a head, or of a row where there are no heads
//   N  tokens of all sequences, end   dFF     hidden features of the feed-forward network
//      to end, without padding        a | b   columns side by side
//   H, W  height and width of images

export { recompute } from '../core/autograd.js';
export { Random } from '../core/random.js';
export type { CacheFormat } from '../ops/kv-cache.js';
export type {
  AttentionParts,
  AttentionPass,
  ProjectedAttention,
  ProjectedQueries,
  RotaryContext,
} from './attention.js';
export { MultiHeadAttention, type MultiHeadOptions } from './attention.js';
export { balanceLoss, withBalanceLoss } from './balance-loss.js';
export { BatchNorm, type BatchNormOptions, FrozenBatchNorm } from './batch-norm.js';
export { Conv1d, Conv2d, type ConvolutionOptions, ConvTranspose1d, ConvTranspose2d } from './conv.js';
export { CrossAttention, type CrossAttentionOptions } from './cross-attention.js';
export { type CacheSizes, type CacheSpec, DecoderState, type Memory } from './decoder-state.js';
export { Dropout, DropPath, LayerDrop, type Randomness } from './dropout.js';
export { Embedding, type EmbeddingLookup } from './embedding.js';
export type { Encoder, EncoderDecoder, Stacks } from './encoder-decoder.js';
export type { ExtendedSequence, Extension, StateSlots } from './extension.js';
export type { FeedForwardPass } from './feed-forward.js';
export { FeedForward, type FeedForwardOptions } from './feed-forward.js';
export { Initializer } from './init.js';
export type { GridSize } from './interpolation.js';
export {
  type FeedForwardNetwork,
  type LayerContext,
  type LayerParts,
  type PostNorm,
  TransformerLayer,
} from './layer.js';
export { ConstantScale, LayerScale } from './layer-scale.js';
export { Linear, type OutputProjection, type Projection, TiedLinear } from './linear.js';
export type { Mixer } from './mixer.js';
export {
  type ExpertWeights,
  MixtureOfExperts,
  type MixtureOfExpertsOptions,
  type Routing,
} from './mixture-of-experts.js';
export { type LoadableTensor, Module, type Parameter, type StateDict, type StateEntry } from './module.js';
export type { NormObserver } from './norm.js';
export { GroupNorm, HeadNorm, IdentityNorm, LayerNorm, type Norm, PlainRMSNorm, RMSNorm } from './norm.js';
export { PackedEmbedding, PackedLinear, PackedTiedLinear } from './packed-modules.js';
export type { AttentionWindow, Keyless, PaddingMask } from './padding.js';
export { PatchEmbedding, type PatchEmbeddingOptions } from './patch-embedding.js';
export type { DistanceTables } from './position-bias.js';
export {
  BucketBias,
  type BucketBiasOptions,
  DistanceBias,
  LinearBias,
  PositionBias,
  RelativeVectors,
} from './position-bias.js';
export type { PositionShifts } from './position-shifts.js';
export type { PositionTableOptions } from './positions.js';
export { type Positions, resolvePositions, rotaryAngles, sinusoids } from './positions.js';
export type { RecurrentSlots } from './recurrent-slots.js';
export { branchNorm, parallel, postNorm, preNorm, type SubLayer, type Wiring, type WiringPart } from './residual.js';
export type { RotateOptions, Rotation } from './rotary-embedding.js';
export { RotaryEmbedding, type RotaryEmbeddingOptions, type RotaryScaling } from './rotary-embedding.js';
export { Sequences } from './sequences.js';
export type { MixerContext, SharedTensors } from './shared-tensors.js';
export { AdditiveAttention, SelfAttention } from './simple-attention.js';
export { sparseGates } from './sparse-gates.js';
export { Stack, type StackContext, type StackEntry, type StackParts } from './stack.js';
export type { StateNames, StoredAs } from './state-names.js';
export { type PackedTokens, TokenBatch, type Tokens } from './token-batch.js';
export type { ReadBlocksOptions } from './weight.js';
export { type ActivationFormat, PackedWeight, type Weight } from './weight.js';
