// What `trace` does. It is loaded when it is first called: pages that do not look inside need not download it.

import { ShapeError } from '../core/errors.js';
import { Tensor } from '../core/tensor.js';
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
import type { EmbeddingTrace, LayerTrace, NormTrace, StackTrace, SubLayerTrace, Trace } from './trace.js';
import { traceAttention } from './trace-attention.js';

/** One pass, whose values are still on the device. */
export function tracePass(
  model: Transformer,
  source: readonly number[] | null,
  target?: readonly number[],
): Trace<Tensor> {
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
