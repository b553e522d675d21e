// Types of traces.

import type { Device } from '../core/device.js';
import type { Shape, Tensor } from '../core/tensor.js';
import type { Stacks } from '../nn/encoder-decoder.js';
import type { Module } from '../nn/module.js';
import type { AttentionWindow } from '../nn/padding.js';
import type { Tokens } from '../nn/token-batch.js';

/** Numbers read from a device, row-major. */
export interface Values {
  readonly shape: Shape;
  readonly data: Float32Array;
}

/** The input of the first layer. Each part is [T, dModel]. */
export interface EmbeddingTrace<T = Values> {
  /** The token's scaled row of the embedding table. The same as `sum` if a model embeds in more steps. */
  readonly token: T;
  /** The position's vector; null if attention encodes positions, nothing does, or a model embeds in more steps. */
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
  /** Shape [dModel]: the factor, with a constant that the family adds to its weight (Gemma's 1). */
  readonly weight: T;
  readonly bias: T | null;
  readonly output: T;
}

export interface FeedForwardTrace<T = Values> {
  readonly input: T;
  /** [T, dFF], before the activation. */
  readonly hidden: T;
  /** [T, dFF], the input of the last projection: after the activation, times `gate` if there is one. */
  readonly active: T;
  /** [T, dFF], the factor of the hidden features; null unless the model is `gated`. */
  readonly gate: T | null;
  readonly output: T;
}

/**
 * A sub-layer with its residual connection and norm. Pre-norm: input + f(norm(input)). Post-norm: norm(input +
 * f(input)). docs/families.md names the families; the values are those of their own wiring.
 */
export interface SubLayerTrace<Inside, T = Values> {
  /** [T, dModel], as every tensor below without a shape of its own. */
  readonly input: T;
  readonly inside: Inside;
  /** The addend: the sub-layer's output with parts beside attention, after a further norm or scale. */
  readonly branch: T;
  /** The rows with the branch, before a post-norm: input + branch. Without a post-norm it is `output`. */
  readonly sum: T;
  /** Null for a norm without mean and variance. */
  readonly norm: NormTrace<T> | null;
  /** Input of the next sub-layer: the sum if pre-norm, the norm's output if post-norm. */
  readonly output: T;
}

export interface LayerTrace<T = Values> {
  /** Null if tokens are mixed otherwise: by a recurrence, a convolution, or attention in blocks or to two sources. */
  readonly selfAttention: SubLayerTrace<AttentionTrace<T>, T> | null;
  /** Null unless the layer is a decoder layer that reads an encoder's output. */
  readonly crossAttention: SubLayerTrace<AttentionTrace<T>, T> | null;
  /** Null without a network, and for others than `FeedForward`, such as a mixture of experts. */
  readonly feedForward: SubLayerTrace<FeedForwardTrace<T>, T> | null;
  /** Shape [T, features]: the layer's input, with all streams if it has several (Gemma 3n). */
  readonly input: T;
  /** [T, features] */
  readonly output: T;
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
   * Shape [T, vocabulary]: scores of the next token after each target token; for encoder-only models, scores at each
   * source token.
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
  /** Shape [heads, Tq, d]: the weighted mean of the values, with the relative term of `shaw` positions. */
  readonly outputs: T;
  /** Shape [Tq, dModel]: the concatenated heads after the output projection. */
  readonly output: T;
}

/** The model that `trace` runs. */
export interface Traceable extends Stacks {
  readonly device: Device;
  modules(): readonly Module[];
  /**
   * Runs a pass and returns the features, [N, dModel]: those of the decoder, or of the encoder if there is no decoder.
   * `op` begins the messages of errors.
   */
  runPass(op: string, source: Tokens | null, target?: Tokens): Tensor;
  /** Logits of features, float32 [N, vocabulary]. */
  logitsOf(features: Tensor): Tensor;
}
