// What a trace holds.

import type { Device } from '../core/device.js';
import type { Shape, Tensor } from '../core/tensor.js';
import type { Stacks } from '../nn/encoder-decoder.js';
import type { Norm } from '../nn/norm.js';
import type { Sequences } from '../nn/sequences.js';
import type { Stack } from '../nn/stack.js';
import type { TokenBatch } from '../nn/token-batch.js';

/** Numbers that were read from a device, row-major. */
export interface Values {
  readonly shape: Shape;
  readonly data: Float32Array;
}

/** How a token becomes a vector. Each is [T, dModel]. */
export interface EmbeddingTrace<T = Values> {
  /** The token's row of the table, times `config.embeddingScale`. */
  readonly token: T;
  /** What says where it stands; null if attention does, or nothing. */
  readonly position: T | null;
  /** What the first layer gets. */
  readonly sum: T;
}

/**
 * weight·(input - mean) / √(variance + eps) + bias, over the features of each token. Of RMSNorm the mean is taken for 0,
 * so that the variance is the mean square.
 */
export interface NormTrace<T = Values> {
  readonly input: T;
  /** [T, 1] */
  readonly mean: T;
  /** [T, 1], over dModel, not dModel - 1. */
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
  /** [T, dFF], after it, times `gate` if there is one. */
  readonly active: T;
  /** [T, dFF]: what multiplies the hidden features; null unless the model is `gated`. */
  readonly gate: T | null;
  readonly output: T;
}

/**
 * A sub-layer with its residual connection and its norm: pre-norm input + inside(norm(input)), post-norm norm(input +
 * inside(input)).
 */
export interface SubLayerTrace<Inside, T = Values> {
  /** [T, dModel], as all that has no other shape. */
  readonly input: T;
  readonly inside: Inside;
  /** input + inside.output */
  readonly sum: T;
  readonly norm: NormTrace<T>;
  /** What goes on to the next sub-layer: the sum if pre-norm, the norm's output if post-norm. */
  readonly output: T;
}

export interface LayerTrace<T = Values> {
  readonly selfAttention: SubLayerTrace<AttentionTrace<T>, T>;
  /** Of decoder layers that read an encoder's output. */
  readonly crossAttention: SubLayerTrace<AttentionTrace<T>, T> | null;
  readonly feedForward: SubLayerTrace<FeedForwardTrace<T>, T>;
}

/** One side of the model. Of images and sounds tokens are patches, after the class's, and places in time. */
export interface StackTrace<T = Values> {
  readonly embedding: EmbeddingTrace<T>;
  readonly layers: readonly LayerTrace<T>[];
  /** After the last layer; null if the model has none. */
  readonly norm: NormTrace<T> | null;
  /** [T, dModel] */
  readonly output: T;
}

/** All that a model computes for one source and one target. */
export interface Trace<T = Values> {
  readonly encoder: StackTrace<T> | null;
  readonly decoder: StackTrace<T> | null;
  /** [T, vocabulary], for each target token the one after it; encoder-only: for each source token. */
  readonly logits: T;
  /** softmax(logits) */
  readonly probabilities: T;
}

/**
 * Multi-head attention: outputs = softmax((q·k + q·r)·scale + bias) · (v + r'), the relative terms only where the model
 * has them.
 */
export interface AttentionTrace<T = Values> {
  /** [Tq, dModel] */
  readonly input: T;
  /**
   * [Tk, dModel], what keys and values are made of: `input` in self-attention, the encoder's output in cross attention.
   */
  readonly memory: T;
  /** [heads, Tq, d]; with positions `rotary` as they have turned, keys likewise. */
  readonly q: T;
  /** [heads, Tk, d]; heads that share keys and values have a copy each. */
  readonly k: T;
  readonly v: T;
  /** [heads, Tq, Tk], as are all scores: q·k. */
  readonly products: T;
  /** q·r, r the trained vector of the distance; with positions `shaw` only. */
  readonly relative: T | null;
  /** The trained number of the distance, with positions `relativeBias`; DeBERTa's terms of content and distance. */
  readonly bias: T | null;
  /**
   * [2M + 1, d], the trained vectors r and r' of the distances -M … M from query to key; with positions `shaw` only.
   */
  readonly relativeKeys: T | null;
  readonly relativeValues: T | null;
  /** 1/√d, unless the model has another one. */
  readonly scale: number;
  /** (products + relative)·scale, capped where the model caps scores, + bias, before the mask. */
  readonly scores: T;
  /** Whether queries see no key after them: the mask of the decoder's self-attention. */
  readonly causal: boolean;
  /** Queries see keys fewer than this many places away; null: all. */
  readonly window: number | null;
  /** softmax(scores) over the keys that a query may see; 0 for the others. */
  readonly weights: T;
  /** [heads, Tq, d]: the mean of the values by weight, and what it adds with positions `shaw`. */
  readonly outputs: T;
  /** [Tq, dModel]: the heads side by side, through the output projection. */
  readonly output: T;
}

/** What the layers of one side read, and which they are. */
export interface TraceInput {
  readonly embedding: EmbeddingTrace<Tensor>;
  readonly batch: Sequences;
  readonly stack: Stack;
  /** After the last layer. */
  readonly norm: Norm | null;
}

/** What a trace needs of a model. */
export interface Traceable extends Stacks {
  readonly device: Device;
  readonly maxLength: number;
  /** How the tokens of one side become vectors. */
  traceEmbedding(side: 'encoder' | 'decoder', batch: TokenBatch): EmbeddingTrace<Tensor>;
  /** Of models that read more than tokens, or have several encoders: what is read of a source. */
  traceSource?(source: readonly number[] | Tensor): TraceInput;
  /** Logits of features, float32 [N, vocabulary]. */
  logitsOf(features: Tensor): Tensor;
}
