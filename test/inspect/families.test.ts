// A trace has the values of the pass itself, in every family: bit for bit those of `forward`.
import { afterAll, describe, expect, it } from 'vitest';
import { ArgumentError, type Tensor } from '../../src/index.js';
import {
  type AttentionTrace,
  type StackTrace,
  type SubLayerTrace,
  trace,
  type Values,
} from '../../src/inspect/index.js';
import type { ModelInputs, ModelOutput } from '../../src/models/inputs.js';
import { FeedForward, type Stack, TransformerLayer } from '../../src/nn/index.js';
import { activate } from '../../src/ops/activation.js';
import { mul } from '../../src/ops/index.js';
import { type LoadedModel, loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import lists from '../pretrained/families.json' with { type: 'json' };
import { filesOf, inputsOf, referenceOf } from '../pretrained/reference.js';
import recent from '../pretrained/reference3.json' with { type: 'json' };
import { testData } from '../test-data.js';
import { assertClose, largest } from '../tolerance.js';

const families = [
  ...Object.values(lists).flatMap((names) => names.map((name) => ['reference', name] as const)),
  ...Object.values(recent).flatMap((names) => names.map((name) => ['reference3', name] as const)),
];

/** What a model of each of these families says instead of a trace. */
const refused: Record<string, RegExp> = {};

const ids = [5, 9, 17, 4, 6, 31, 8];
const models: LoadedModel[] = [];
afterAll(() => {
  for (const model of models) model.dispose();
});

describe.each(families)('%s/%s', (folder, name) => {
  it(refused[name] ? 'is refused by name' : 'has the values of the pass', async () => {
    const data = testData(folder);
    const model = await loadModel(await deviceFor(isas[0]!, 2), await filesOf(data, name), {});
    models.push(model);
    const first = firstOf(inputsOf(model.device, await referenceOf(data, name)));
    const signal = first.pixelValues ?? first.inputFeatures ?? first.inputValues;
    const readsText = model.takes('inputIds');
    const source = model.decoder && !model.encoder ? null : readsText ? ids : signal!;
    const target = model.decoder ? (model.encoder ? ids.slice(1, 5) : ids) : undefined;
    if (refused[name]) {
      await expect(trace(model, source, target)).rejects.toThrow(ArgumentError);
      await expect(trace(model, source, target)).rejects.toThrow(refused[name]);
      return;
    }
    const traced = await trace(model, source, target);
    const text = readsText ? { inputIds: [ids] } : first;
    const inputs: ModelInputs = target && source ? { ...text, decoderInputIds: [target] } : text;
    const output = model.forward(inputs, { hiddenStates: true, attentions: true });
    const sides = [
      ['encoder', traced.encoder, output.encoderHiddenStates, output.encoderAttentions],
      ['decoder', traced.decoder, output.decoderHiddenStates, output.decoderAttentions],
    ] as const;
    for (const [side, stack, hidden = output.hiddenStates, maps = output.attentions] of sides)
      if (stack) {
        await expectSame(
          `${side}: rows of layers`,
          stack.layers.map(({ input }) => input),
          hidden,
        );
        const inside = stack.layers.flatMap(({ selfAttention }) => selfAttention?.inside ?? []);
        if (inside.length === maps?.length)
          await expectSame(
            `${side}: maps`,
            inside.map(({ weights }) => weights),
            maps,
          );
        checkSums(model, side, stack);
      }
    const cross = traced.decoder?.layers.flatMap(({ crossAttention }) => crossAttention?.inside.weights ?? []) ?? [];
    if (cross.length > 0) await expectSame('cross maps', cross, output.crossAttentions);
    await checkEnd(traced.decoder ?? traced.encoder!, traced.logits, output);
  });
});

/** The first item of a batch. */
function firstOf(inputs: ModelInputs): ModelInputs {
  const first = (value: unknown) => (Array.isArray(value) ? value.slice(0, 1) : (value as Tensor).rows(0, 1));
  const signals = ['pixelValues', 'inputFeatures', 'inputValues', 'spatialShapes', 'bbox'] as const;
  return Object.fromEntries(signals.flatMap((key) => (inputs[key] ? [[key, first(inputs[key])]] : [])));
}

/** Equal bits, and as many of `actual` as there are layers. */
async function expectSame(what: string, actual: readonly Values[], expected: readonly Tensor[] | undefined) {
  expect(expected?.length ?? 0, what).toBeGreaterThanOrEqual(actual.length);
  for (const [i, { data }] of actual.entries())
    expect(data, `${what} ${i}`).toEqual((await expected![i]!.data()) as Float32Array);
}

async function checkEnd({ output }: StackTrace, logits: Values, forward: ModelOutput) {
  const last = forward.lastHiddenState;
  if (last && last.size === output.data.length) expect(output.data).toEqual(await last.data());
  if (forward.logits?.size === logits.data.length) expect(logits.data).toEqual(await forward.logits.data());
  expect(last || forward.logits || forward.hiddenStates).toBeDefined();
}

/** Sums follow from their terms in the layer's own wiring, and parts from one another. */
function checkSums(model: LoadedModel, side: 'encoder' | 'decoder', { layers, embedding }: StackTrace) {
  const modules = (model[side] as Stack | null)?.layers;
  expect(layers[0]?.input ?? embedding.sum).toEqual(embedding.sum);
  for (const [i, layer] of layers.entries()) {
    if (i > 0) expect(layer.input.data).toHaveLength(layers[i - 1]!.output.data.length);
    const { selfAttention, crossAttention, feedForward } = layer;
    const steps = [selfAttention, crossAttention, feedForward].filter((step) => step !== null);
    for (const [n, step] of steps.entries()) {
      if (n > 0 && steps.length > 1 && selfAttention) expect(step.input).toEqual(steps[n - 1]!.output);
      checkSum(modules?.[i], step);
    }
    for (const attention of [selfAttention, crossAttention]) if (attention) checkAttention(attention.inside);
  }
}

function checkSum(layer: TransformerLayer | undefined, { input, branch, sum, norm, output }: SubLayerTrace<unknown>) {
  const wiring = layer?.constructor === TransformerLayer ? layer.wiring : null;
  const terms =
    wiring === 'normed' ? [norm!.output, branch] : wiring === 'branch' ? [input, norm!.output] : [input, branch];
  if (typeof wiring !== 'string') return;
  expect(sum.data).toEqual(sum.data.map((_, i) => terms[0]!.data[i]! + terms[1]!.data[i]!));
  if (wiring === 'post' && norm) expect([norm.input, norm.output]).toEqual([sum, output]);
  else if (wiring !== 'post') expect(output).toEqual(sum);
}

/** softmax(scores) and the mean of values, in float64. */
function checkAttention({ scores, weights, v, outputs, causal, window }: AttentionTrace) {
  const [heads, queries, keys] = weights.shape as [number, number, number];
  const width = v.shape[2]!;
  const [before, after] = typeof window === 'number' ? [window, window] : (window ?? [Infinity, Infinity]);
  const expected = new Float64Array(weights.data.length);
  for (let row = 0; row < heads * queries; row++) {
    const query = row % queries;
    const sees = (key: number) => !(key > query ? causal || key - query >= after : query - key >= before);
    const powers = Array.from({ length: keys }, (_, key) => (sees(key) ? Math.exp(scores.data[row * keys + key]!) : 0));
    const total = powers.reduce((a, b) => a + b);
    for (const [key, power] of powers.entries()) expected[row * keys + key] = power / total;
  }
  assertClose('weights', weights.data, expected, () => 1e-5);
  const means = Float64Array.from({ length: outputs.data.length }, (_, i) => {
    const [row, column] = [Math.floor(i / width), i % width];
    const head = Math.floor(row / queries);
    return Array.from(
      { length: keys },
      (_, key) => weights.data[row * keys + key]! * v.data[(head * keys + key) * width + column]!,
    ).reduce((a, b) => a + b);
  });
  assertClose('outputs', outputs.data, means, () => 1e-5 * largest(means));
}
