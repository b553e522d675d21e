// Implementation of `trace`, loaded at its first call, so that pages without it do not download it.

import { describeShape } from '../core/check.js';
import { ArgumentError, ShapeError } from '../core/errors.js';
import { Tensor } from '../core/tensor.js';
import { tensorsIn } from '../core/tensors-in.js';
import { MultiHeadAttention } from '../nn/attention.js';
import { checkInputs } from '../nn/encoder-decoder.js';
import { FeedForward } from '../nn/feed-forward.js';
import type { TransformerLayer } from '../nn/layer.js';
import { type Norm, RMSNorm } from '../nn/norm.js';
import type { Sequences } from '../nn/sequences.js';
import type { Stack } from '../nn/stack.js';
import { packed, TokenBatch } from '../nn/token-batch.js';
import { add, mul, scale, sub } from '../ops/binary.js';
import { concat } from '../ops/move.js';
import { mean } from '../ops/reduce.js';
import { softmax } from '../ops/softmax.js';
import { traceAttention } from './trace-attention.js';
import type { LayerTrace, NormTrace, StackTrace, SubLayerTrace, Trace, Traceable, TraceInput } from './trace-types.js';

/** Runs one pass. The values stay on the device. */
export function tracePass(
  model: Traceable,
  source: readonly number[] | Tensor | null,
  target?: readonly number[],
): Trace<Tensor> {
  const reader = source !== null && source !== undefined ? readSource(model, source) : null;
  checkInputs('trace', reader ? { encoder: reader.stack, decoder: model.decoder } : model, source, target);
  const encoder = reader && traceStack(reader, null);
  const decoder = model.decoder && traceStack(readTokens(model, 'decoder', target), encoder?.output ?? null);
  if (encoder === null && decoder === null)
    throw new ArgumentError('trace: source is null, expected the ids of a text, or a tensor of an image');
  const logits = model.logitsOf((decoder ?? (encoder as StackTrace<Tensor>)).output);
  return { encoder, decoder, logits, probabilities: softmax(logits) };
}

function readSource(model: Traceable, source: readonly number[] | Tensor): TraceInput | null {
  if (source instanceof Tensor && source.shape[0] !== 1)
    throw new ShapeError(`trace: source is ${describeShape(source.shape)}, expected [1, …], a single one`);
  if (model.traceSource) return model.traceSource(source);
  if (source instanceof Tensor)
    throw new ArgumentError('trace: source is a tensor, but the model reads tokens, expected an array of ids');
  return model.encoder && readTokens(model, 'encoder', source);
}

function readTokens(
  model: Traceable,
  side: 'encoder' | 'decoder',
  ids: readonly number[] | null | undefined,
): TraceInput {
  const name = side === 'encoder' ? 'source' : 'target';
  const batch = TokenBatch.from(model.device, `trace: ${name}`, packed([ids as readonly number[]]), null);
  if (batch.longest > model.maxLength) {
    throw new ShapeError(`trace: ${name} has ${batch.longest} tokens, but the model's maxLength is ${model.maxLength}`);
  }
  const stack = model[side] as Stack;
  return { embedding: model.traceEmbedding(side, batch), batch, stack, norm: stack.norm };
}

function traceStack({ embedding, batch, stack, norm: last }: TraceInput, memory: Tensor | null): StackTrace<Tensor> {
  let x = embedding.sum;
  const layers = stack.layers.map((layer) => {
    const traced = traceLayer(layer, x, batch, memory);
    x = layer.postProcess(x, traced.feedForward.output, batch);
    return traced;
  });
  const norm = last && traceNorm(last, x);
  const normed = norm?.output ?? x;
  return { embedding, layers, norm, output: stack.projection?.forward(normed) ?? normed };
}

function traceLayer(layer: TransformerLayer, x: Tensor, batch: Sequences, memory: Tensor | null): LayerTrace<Tensor> {
  const { selfAttn, multiheadAttn, norm1, norm2, norm3, feedForward: network } = layer;
  const subLayer = <Inside extends { output: Tensor }>(i: number, before: Tensor, norm: Norm, run: Run<Inside>) =>
    traceSubLayer(layer, i, x, before, norm, run);
  if (!(selfAttn instanceof MultiHeadAttention))
    throw new ArgumentError(
      'trace: a layer has no attention, and nothing else is traced; ask forward for hiddenStates',
    );
  const selfAttention = subLayer(0, x, norm1, (y) => traceAttention(selfAttn, y, batch, null));
  const crossAttention =
    multiheadAttn && memory
      ? subLayer(1, selfAttention.output, norm2, (y) => traceAttention(multiheadAttn, y, batch, memory))
      : null;
  const before = (crossAttention ?? selfAttention).output;
  const feedForward = subLayer(crossAttention ? 2 : 1, before, norm3 ?? norm2, (input) => {
    if (network === null) throw new ArgumentError('trace: a layer has no feed-forward network, and is not traced');
    if (!(network instanceof FeedForward))
      throw new ArgumentError(
        'trace: a layer has a mixture of experts, which is not traced; ask forward for hiddenStates',
      );
    const { linear1, linear2, linear3, activation } = network;
    const gate = linear1.sections.length > 1 ? linear1.part(input, 1, 2) : (linear3?.forward(input) ?? null);
    const activated = linear1.part(input, 0, 1, activation);
    const active = gate ? mul(activated, gate) : activated;
    return { input, hidden: linear1.part(input, 0, 1), active, gate, output: linear2.forward(active) };
  });
  return { selfAttention, crossAttention, feedForward };
}

type Run<Inside> = (x: Tensor) => Inside;

/** Traces sub-layer `i` of a layer with input `x`. `before` are the earlier sub-layers of the layer. */
function traceSubLayer<Inside extends { output: Tensor }>(
  { wiring, postNorms }: TransformerLayer,
  i: number,
  x: Tensor,
  before: Tensor,
  norm: Norm,
  run: Run<Inside>,
): SubLayerTrace<Inside, Tensor> {
  if (typeof wiring !== 'string')
    throw new ArgumentError(
      'trace: the wiring of a layer has parameters, and is not traced; ask forward for hiddenStates',
    );
  const input = wiring === 'parallel' ? x : before;
  const normed = wiring === 'pre' || wiring === 'parallel' ? traceNorm(norm, input) : null;
  const inside = run(normed?.output ?? input);
  const branch = postNorms[i]?.forward(inside.output) ?? inside.output;
  if (normed) {
    const sum = add(before, branch);
    return { input: before, inside, sum, norm: normed, output: sum };
  }
  if (wiring === 'branch') {
    const after = traceNorm(norm, branch);
    const sum = add(before, after.output);
    return { input: before, inside, sum, norm: after, output: sum };
  }
  const sum = add(before, branch);
  const after = traceNorm(norm, sum);
  return { input: before, inside, sum, norm: after, output: after.output };
}

function traceNorm(norm: Norm, input: Tensor): NormTrace<Tensor> {
  const means = mean(input, { axis: -1, keepDims: true });
  const average = norm instanceof RMSNorm ? scale(means, 0) : means;
  const centred = sub(input, average);
  const variance = mean(mul(centred, centred), { axis: -1, keepDims: true });
  const weight = norm.weight ?? input.device.full(input.shape.slice(-1), 1);
  return { input, mean: average, variance, weight, bias: norm.bias, output: norm.forward(input) };
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
