// Implementation of `trace`, loaded at its first call, so that pages without it do not download it. Observers of the
// model's parts see one pass of the model, so a trace has the values that the model computes.

import { describeShape } from '../core/check.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import { Tensor } from '../core/tensor.js';
import { tensorsIn } from '../core/tensors-in.js';
import { MultiHeadAttention } from '../nn/attention.js';
import { Embedding } from '../nn/embedding.js';
import { FeedForward, type FeedForwardPass } from '../nn/feed-forward.js';
import { TransformerLayer } from '../nn/layer.js';
import type { Module } from '../nn/module.js';
import {
  LayerNorm,
  type Norm,
  type NormObserver,
  OffsetLayerNorm,
  PlainLayerNorm,
  PlainRMSNorm,
  RMSNorm,
} from '../nn/norm.js';
import { Stack } from '../nn/stack.js';
import { add, mul, scale, sub } from '../ops/binary.js';
import type { EmbeddingOptions } from '../ops/embedding.js';
import { concat, gather } from '../ops/move.js';
import { mean } from '../ops/reduce.js';
import { softmax } from '../ops/softmax.js';
import { traceAttention } from './trace-attention.js';
import type {
  AttentionTrace,
  EmbeddingTrace,
  FeedForwardTrace,
  LayerTrace,
  NormTrace,
  StackTrace,
  SubLayerTrace,
  Trace,
  Traceable,
} from './trace-types.js';

/** Runs one pass. The values stay on the device. */
export function tracePass(
  model: Traceable,
  source: readonly number[] | Tensor | null,
  target?: readonly number[],
): Trace<Tensor> {
  if (source instanceof Tensor && source.shape[0] !== 1)
    throw new ShapeError(`trace: source is ${describeShape(source.shape)}, expected [1, …], a single one`);
  const pass = new ObservedPass();
  const sources = source instanceof Tensor ? source : source ? [source] : null;
  const features = pass.observe(model.modules(), () => model.runPass('trace', sources, target && [target]));
  const stacks = [...pass.stacks.keys()];
  const encoders = stacks.filter((stack) => stack !== model.decoder);
  if (encoders.length !== (sources ? 1 : 0))
    throw new ArgumentError(`trace: ${encoders.length} stacks of layers read the source, expected a model with one`);
  const [encoder, decoder] = [encoders[0], model.decoder].map((stack) => (stack ? pass.stackOf(stack) : null));
  const logits = model.logitsOf(features);
  return { encoder: encoder ?? null, decoder: decoder ?? null, logits, probabilities: softmax(logits) };
}

type SubLayerRows = readonly [input: Tensor, branch: Tensor, output: Tensor];

/** Records of the observers of a model's parts: the last pass of each part. */
class ObservedPass {
  readonly stacks = new Map<Stack, { layers: LayerTrace<Tensor>[]; end?: readonly [last: Tensor, output: Tensor] }>();
  readonly #subLayers = new Map<TransformerLayer, SubLayerRows[]>();
  readonly #attentions = new Map<Module, AttentionTrace<Tensor> | null>();
  readonly #networks = new Map<Module, FeedForwardPass>();
  readonly #norms = new Map<Module, Parameters<NormObserver>>();
  readonly #embeddings = new Map<Tensor, readonly [Embedding, Tensor, EmbeddingOptions]>();

  /** Runs `run` while it observes `parts`. */
  observe<T>(parts: readonly Module[], run: () => T): T {
    const observed = parts.filter((part) => this.#watch(part)) as unknown as { observe: unknown }[];
    try {
      return run();
    } finally {
      for (const part of observed) part.observe = null;
    }
  }

  /** Observes a part. False if it has nothing to show. */
  #watch(part: Module): boolean {
    if (part instanceof Stack) part.observe = (...seen) => this.#addLayer(part, ...seen);
    else if (part instanceof TransformerLayer) {
      const rows: SubLayerRows[] = [];
      this.#subLayers.set(part, rows);
      part.observe = (i, ...seen) => {
        rows[i] = seen;
      };
    } else if (part instanceof MultiHeadAttention)
      part.observe = (seen) => this.#attentions.set(part, traceAttention(part, seen));
    else if (part instanceof FeedForward) part.observe = (seen) => this.#networks.set(part, seen);
    else if (part instanceof Embedding)
      part.observe = (ids, options, y) => this.#embeddings.set(y, [part, ids, options]);
    else if (isNorm(part)) part.observe = (...seen) => this.#norms.set(part, seen);
    else return false;
    return true;
  }

  #addLayer(stack: Stack, layer: TransformerLayer | null, x: Tensor, y: Tensor): void {
    const seen = this.stacks.get(stack) ?? { layers: [] };
    this.stacks.set(stack, seen);
    if (layer) seen.layers.push(this.#layerOf(layer, x, y));
    else seen.end = [x, y];
  }

  #layerOf(layer: TransformerLayer, input: Tensor, output: Tensor): LayerTrace<Tensor> {
    const { selfAttn, multiheadAttn, feedForward, norm1, norm2, norm3 } = layer;
    const rows = this.#subLayers.get(layer) ?? [];
    const subLayer = <Inside>(inside: Inside | null | undefined, i: number, norm: Norm) =>
      inside && rows[i] ? this.#subLayerOf(inside, rows[i], norm) : null;
    const attention = (part: MultiHeadAttention | null | undefined) => part && this.#attentions.get(part);
    const selfAttention = selfAttn.attentions.length === 1 ? selfAttn.attentions[0] : null;
    const network = feedForward && this.#networks.get(feedForward);
    return {
      selfAttention: subLayer(attention(selfAttention), 0, norm1),
      crossAttention: subLayer(attention(multiheadAttn), 1, norm2),
      feedForward: subLayer(network && networkTrace(network), multiheadAttn ? 2 : 1, norm3 ?? norm2),
      input,
      output,
    };
  }

  #subLayerOf<Inside>(
    inside: Inside,
    [input, branch, output]: SubLayerRows,
    norm: Norm,
  ): SubLayerTrace<Inside, Tensor> {
    const [normed, y] = this.#norms.get(norm) ?? [output];
    return { input, inside, branch, sum: y === output ? normed : output, norm: this.#normOf(norm), output };
  }

  /** The trace of a stack that has run. */
  stackOf(stack: Stack): StackTrace<Tensor> {
    const { layers, end } = this.stacks.get(stack) as { layers: LayerTrace<Tensor>[]; end: [Tensor, Tensor] };
    const [last, output] = end;
    const embedding = this.#embeddingOf(layers[0]?.input ?? last);
    if (stack.norm) return { embedding, layers, norm: this.#normOf(stack.norm), output };
    for (const [norm, [x, y]] of this.#norms) // a norm after the stack
      if (x === output) return { embedding, layers, norm: this.#normOf(norm as Norm), output: y };
    return { embedding, layers, norm: null, output };
  }

  #embeddingOf(sum: Tensor): EmbeddingTrace<Tensor> {
    const [part, ids, options] = this.#embeddings.get(sum) ?? [];
    const { positions, positionIds, ...scaling } = options ?? {};
    if (!part || !ids || !positions) return { token: sum, position: null, sum };
    return {
      token: part.forward(ids, scaling),
      position: positionIds ? gather(positions, positionIds) : positions,
      sum,
    };
  }

  #normOf(norm: Norm): NormTrace<Tensor> | null {
    const seen = this.#norms.get(norm);
    const isRms = norm instanceof RMSNorm || norm instanceof PlainRMSNorm;
    const isCentred = norm instanceof LayerNorm || norm instanceof PlainLayerNorm || norm instanceof OffsetLayerNorm;
    if (!seen || !(isRms || isCentred)) return null;
    const [input, output] = seen;
    const means = mean(input, { axis: -1, keepDims: true });
    const average = isRms ? scale(means, 0) : means;
    const centred = sub(input, average);
    const variance = mean(mul(centred, centred), { axis: -1, keepDims: true });
    const offset = norm instanceof RMSNorm ? norm.offset : norm instanceof OffsetLayerNorm ? 1 : 0;
    const weight = norm.weight ?? input.device.full(input.shape.slice(-1), 1);
    return { input, mean: average, variance, weight: offset ? add(weight, offset) : weight, bias: norm.bias, output };
  }
}

function isNorm(part: Module): part is Norm & { observe: NormObserver | null } {
  return 'add' in part && 'observe' in part;
}

function networkTrace({ factor, ...pass }: FeedForwardPass): FeedForwardTrace<Tensor> {
  return { ...pass, gate: factor };
}

/**
 * Joins all tensors of a trace, so that one copy reads them. Returns the joined tensor, and a function that turns its
 * values into a trace of arrays.
 */
export function joined(passed: Trace<Tensor>): { all: Tensor; arrange: (data: Float32Array) => Trace } {
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
