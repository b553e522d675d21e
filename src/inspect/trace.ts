// A forward pass, step by step as the papers write it, with every intermediate value at hand. The engine fuses these
// steps and never writes most of the values down; here each is computed by an op of its own, from the model's own
// parameters.

import { copied } from '../core/copied.js';
import type { Shape } from '../core/tensor.js';
import type { Transformer } from '../models/transformer.js';
import type { AttentionTrace } from './trace-attention.js';

export type { AttentionTrace } from './trace-attention.js';

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

/** One side of the model. */
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
 * Runs one sequence, or a pair of them, through a model and returns every intermediate value: see `Trace`. Takes what
 * `forward` takes, but for one sequence and without padding, and gives its results up to rounding, without dropout.
 *
 * Throws ArgumentError if the model has another number of sides, ShapeError if a sequence is empty or longer than
 * `maxLength`. An id outside the vocabulary fails the run (CommandError).
 */
export async function trace(
  model: Transformer,
  source: readonly number[] | null,
  target?: readonly number[],
): Promise<Trace> {
  const given = copied([source, target] as const);
  const { joined, tracePass } = await import('../later.js');
  const { device } = model;
  const { all, arrange } = device.noGrad(() => device.scope(() => joined(tracePass(model, ...given))));
  try {
    return arrange((await all.data()) as Float32Array);
  } finally {
    all.dispose();
  }
}
