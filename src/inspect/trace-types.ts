// Types of traces.

import type { Device } from '../core/device.js';
import type { Shape, Tensor } from '../core/tensor.js';
import type { Stacks } from '../nn/encoder-decoder.js';
import type { Norm } from '../nn/norm.js';
import type { AttentionWindow } from '../nn/padding.js';
import type { Sequences } from '../nn/sequences.js';
import type { Stack } from '../nn/stack.js';
import type { TokenBatch } from '../nn/token-batch.js';

/** Numbers read from a device, row-major. */
export interface Values {
  readonly shape: Shape;
  readonly data: Float32Array;
}

/** Embedding of tokens. Each part is [T, dModel]. */
export interface EmbeddingTrace<T = Values> {
  /** The token's row of the embedding table, times `config.embeddingScale`. */
  readonly token: T;
  /** The position's vector; null if attention encodes positions, or nothing does. */
  readonly position: T | null;
  /** Input of the first layer. */
  readonly sum: T;
}

/**
 * weight·(input - mean) / √(variance + eps) + bias, over the features of each token. RMSNorm has mean 0, so its
 * variance is the mean square.
 */
export interface NormTrace<T = Values> {
  readonly input: T;
  /** [T, 1] */
  readonly mean: T;
  /** [T, 1], divided by dModel, not by dModel - 1. */
  readonly variance: T;
  /** [dModel] */
  readonly weight: T;
  readonly bias: T | null;
  readonly output: T;
}

export interface FeedForwardTrace<T = Values> {
  readonly input: T;
  /** [T, dFF], before the activation. */
  readonly hidden: T;
  /** [T, dFF], after the activation, times `gate` if there is one. */
  readonly active: T;
  /** [T, dFF], the factor of the hidden features; null unless the model is `gated`. */
  readonly gate: T | null;
  readonly output: T;
}

/**
 * A sub-layer with its residual connection and norm. Pre-norm: input + inside(norm(input)). Post-norm: norm(input +
 * inside(input)).
 */
export interface SubLayerTrace<Inside, T = Values> {
  /** [T, dModel], as every tensor below without a shape of its own. */
  readonly input: T;
  readonly inside: Inside;
  /** input + inside.output */
  readonly sum: T;
  readonly norm: NormTrace<T>;
  /** Input of the next sub-layer: the sum if pre-norm, the norm's output if post-norm. */
  readonly output: T;
}

export interface LayerTrace<T = Values> {
  readonly selfAttention: SubLayerTrace<AttentionTrace<T>, T>;
  /** Null unless the layer is a decoder layer that reads an encoder's output. */
  readonly crossAttention: SubLayerTrace<AttentionTrace<T>, T> | null;
  readonly feedForward: SubLayerTrace<FeedForwardTrace<T>, T>;
}

/** One side of the model. Tokens of images are the class token and patches; tokens of audio are positions in time. */
export interface StackTrace<T = Values> {
  readonly embedding: EmbeddingTrace<T>;
  readonly layers: readonly LayerTrace<T>[];
  /** Norm after the last layer; null if the model has none. */
  readonly norm: NormTrace<T> | null;
  /** [T, dModel] */
  readonly output: T;
}

/** Every intermediate value of a model for one source and one target. */
export interface Trace<T = Values> {
  readonly encoder: StackTrace<T> | null;
  readonly decoder: StackTrace<T> | null;
  /**
   * [T, vocabulary]: scores of the next token after each target token; for encoder-only models, scores at each source
   * token.
   */
  readonly logits: T;
  /** softmax(logits) */
  readonly probabilities: T;
}

/**
 * Multi-head attention: outputs = softmax((q·k + q·r)·scale + bias) · (v + r'). Relative terms are null in models
 * without them.
 */
export interface AttentionTrace<T = Values> {
  /** [Tq, dModel] */
  readonly input: T;
  /** [Tk, dModel], the input of keys and values: `input` in self-attention, the encoder's output in cross-attention. */
  readonly memory: T;
  /** [heads, Tq, d]; with `rotary` positions after the rotation, as are keys. */
  readonly q: T;
  /** [heads, Tk, d]; heads that share keys and values have equal copies. */
  readonly k: T;
  readonly v: T;
  /** [heads, Tq, Tk], as are all scores: q·k. */
  readonly products: T;
  /** q·r, where r is the trained vector of the distance. Null unless positions are `shaw`. */
  readonly relative: T | null;
  /** The trained bias of the distance, with `relativeBias` positions, or DeBERTa's terms of content and distance. */
  readonly bias: T | null;
  /**
   * [2M + 1, d], the trained vectors r and r' of the distances -M … M from query to key. Null unless positions are
   * `shaw`.
   */
  readonly relativeKeys: T | null;
  readonly relativeValues: T | null;
  /** 1/√d, unless the model sets another scale. */
  readonly scale: number;
  /** (products + relative)·scale, then the soft cap if the model has one, + bias, before the mask. */
  readonly scores: T;
  /** True if queries see no later keys: the mask of the decoder's self-attention. */
  readonly causal: boolean;
  /** Queries see keys fewer than this many places away, or [before, after]; null for all keys. */
  readonly window: AttentionWindow | null;
  /** softmax(scores) over the keys that a query may see; 0 for other keys. */
  readonly weights: T;
  /** [heads, Tq, d]: the weighted mean of the values, with the relative term of `shaw` positions. */
  readonly outputs: T;
  /** [Tq, dModel]: the concatenated heads after the output projection. */
  readonly output: T;
}

/** Input and layers of one side. */
export interface TraceInput {
  readonly embedding: EmbeddingTrace<Tensor>;
  readonly batch: Sequences;
  readonly stack: Stack;
  /** Norm after the last layer. */
  readonly norm: Norm | null;
}

/** Parts of a model that a trace needs. */
export interface Traceable extends Stacks {
  readonly device: Device;
  readonly maxLength: number;
  /** Embeds the tokens of one side. */
  traceEmbedding(side: 'encoder' | 'decoder', batch: TokenBatch): EmbeddingTrace<Tensor>;
  /** Reads a source in models that read more than tokens, or have several encoders. */
  traceSource?(source: readonly number[] | Tensor): TraceInput;
  /** Logits of features, float32 [N, vocabulary]. */
  logitsOf(features: Tensor): Tensor;
}
