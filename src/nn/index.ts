export { AdditiveAttention, MultiHeadAttention, type MultiHeadOptions, SelfAttention } from './attention.js';
export { Initializer } from './init.js';
export { type CacheSizes, DecoderState, type LayerCache, type Memory } from './kv-cache.js';
export { Dropout, Embedding, LayerNorm, Linear, type Norm, type Randomness, RMSNorm, TiedLinear } from './layers.js';
export { type LoadableTensor, Module, type StateDict, type StateEntry } from './module.js';
export { type Positions, resolvePositions, rotations, sinusoids } from './positions.js';
export { Decoder, DecoderLayer, Encoder, EncoderLayer, type LayerOptions } from './stacks.js';
export { type PackedTokens, TokenBatch, type Tokens } from './token-batch.js';
