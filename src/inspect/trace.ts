// A forward pass, step by step as the papers write it, with every intermediate value at hand. The engine fuses these
// steps and never writes most of the values down; here each is computed by an op of its own, from the model's own
// parameters.

import { ShapeError } from '../core/errors.js';
import { type Shape, Tensor } from '../core/tensor.js';
import { tensorsIn } from '../core/tensors-in.js';
import { checkSides } from '../models/sides.js';
import type { Transformer } from '../models/transformer.js';
import { type Embedding, type Norm, RMSNorm } from '../nn/layers.js';
import { sinusoids } from '../nn/positions.js';
import type { Decoder, DecoderLayer, Encoder, EncoderLayer } from '../nn/stacks.js';
import { packed, TokenBatch } from '../nn/token-batch.js';
import { add, mul, scale, sub } from '../ops/binary.js';
import { embedding } from '../ops/embedding.js';
import { concat } from '../ops/move.js';
import { mean } from '../ops/reduce.js';
import { softmax } from '../ops/softmax.js';
import { type AttentionTrace, traceAttention } from './trace-attention.js';

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
  const { device } = model;
  const { all, arrange } = device.noGrad(() => device.scope(() => joined(tracePass(model, source, target))));
  try {
    return arrange((await all.data()) as Float32Array);
  } finally {
    all.dispose();
  }
}

function tracePass(model: Transformer, source: readonly number[] | null, target?: readonly number[]): Trace<Tensor> {
  const { encoder, decoder } = model.transformer;
  checkSides('trace', model.transformer, source, target);
  const sides = {
    encoder: encoder && traceStack(model, encoder, model.srcEmbed, model.srcPositions, ['source', source], null),
    decoder: null as StackTrace<Tensor> | null,
  };
  if (decoder) {
    const memory = sides.encoder?.output ?? null;
    sides.decoder = traceStack(model, decoder, model.tgtEmbed, model.tgtPositions, ['target', target], memory);
  }
  const last = (sides.decoder ?? sides.encoder) as StackTrace<Tensor>;
  const logits = model.generator.forward(last.output);
  return { ...sides, logits, probabilities: softmax(logits) };
}

function traceStack(
  model: Transformer,
  stack: Encoder | Decoder,
  table: Embedding | null,
  learned: Embedding | null,
  [side, ids]: readonly [string, readonly number[] | null | undefined],
  memory: Tensor | null,
): StackTrace<Tensor> {
  const { maxLength } = model.config;
  const batch = TokenBatch.from(model.device, `trace: ${side}`, packed([ids as readonly number[]]), null);
  if (batch.longest > maxLength) {
    throw new ShapeError(`trace: ${side} has ${batch.longest} tokens, but the model's maxLength is ${maxLength}`);
  }
  const embedded = traceEmbedding(model, table as Embedding, learned, batch);
  let x = embedded.sum;
  const layers = stack.layers.map((layer) => {
    const traced = traceLayer(model, layer, x, batch, stack === model.transformer.decoder, memory);
    x = traced.feedForward.output;
    return traced;
  });
  const norm = stack.norm && traceNorm(stack.norm, x);
  return { embedding: embedded, layers, norm, output: norm?.output ?? x };
}

function traceEmbedding(
  { device, config }: Transformer,
  table: Embedding,
  learned: Embedding | null,
  { ids, positions, total }: TokenBatch,
): EmbeddingTrace<Tensor> {
  const token = embedding(table.weight, ids, { scale: config.embeddingScale });
  const position = learned
    ? embedding(learned.weight, positions)
    : config.positions.kind === 'sinusoidal'
      ? device.tensor(sinusoids(total, config.dModel, config.positions), [total, config.dModel])
      : null;
  return { token, position, sum: position ? add(token, position) : token };
}

function traceLayer(
  { config }: Transformer,
  layer: EncoderLayer | DecoderLayer,
  x: Tensor,
  { positions }: TokenBatch,
  causal: boolean,
  memory: Tensor | null,
): LayerTrace<Tensor> {
  const pre = config.norm === 'pre';
  const subLayer = <Inside extends { output: Tensor }>(
    input: Tensor,
    norm: Norm,
    inner: (x: Tensor) => Inside,
  ): SubLayerTrace<Inside, Tensor> => {
    const before = pre ? traceNorm(norm, input) : null;
    const inside = inner(before?.output ?? input);
    const sum = add(input, inside.output);
    const traced = before ?? traceNorm(norm, sum);
    return { input, inside, sum, norm: traced, output: pre ? sum : traced.output };
  };
  const { selfAttn, norm1, norm2 } = layer;
  const selfAttention = subLayer(x, norm1, (y) => traceAttention(selfAttn, config, y, positions, null, causal));
  const [cross, norm3] = 'multiheadAttn' in layer ? [layer.multiheadAttn, layer.norm3] : [null, null];
  const crossAttention =
    cross && memory
      ? subLayer(selfAttention.output, norm2, (y) => traceAttention(cross, config, y, positions, memory, false))
      : null;
  const feedForward = subLayer((crossAttention ?? selfAttention).output, norm3 ?? norm2, (input) => {
    const gate = layer.linear3?.forward(input) ?? null;
    const activated = layer.linear1.forward(input, config.activation);
    const active = gate ? mul(activated, gate) : activated;
    return { input, hidden: layer.linear1.forward(input), active, gate, output: layer.linear2.forward(active) };
  });
  return { selfAttention, crossAttention, feedForward };
}

function traceNorm(norm: Norm, input: Tensor): NormTrace<Tensor> {
  const means = mean(input, { axis: -1, keepDims: true });
  const average = norm instanceof RMSNorm ? scale(means, 0) : means;
  const centred = sub(input, average);
  const variance = mean(mul(centred, centred), { axis: -1, keepDims: true });
  return { input, mean: average, variance, weight: norm.weight, bias: norm.bias, output: norm.forward(input) };
}

/** All tensors end to end, to be read at once, and what makes a trace of what was read. */
function joined(passed: Trace<Tensor>): { all: Tensor; arrange: (data: Float32Array) => Trace } {
  const starts = new Map<Tensor, number>();
  let end = 0;
  for (const tensor of tensorsIn(passed)) {
    if (starts.has(tensor)) continue;
    starts.set(tensor, end);
    end += tensor.size;
  }
  const arrange = (value: unknown, data: Float32Array): unknown => {
    if (value instanceof Tensor) {
      const start = starts.get(value) as number;
      return { shape: value.shape, data: data.subarray(start, start + value.size) };
    }
    if (Array.isArray(value)) return value.map((inner) => arrange(inner, data));
    if (value === null || typeof value !== 'object') return value;
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, arrange(inner, data)]));
  };
  const all = concat([...starts.keys()].map((tensor) => tensor.reshape(-1)));
  return { all, arrange: (data) => arrange(passed, data) as Trace };
}
