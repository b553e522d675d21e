// A trace has the values of the pass itself, in every family: bit for bit those of `forward`.
import { afterAll, describe, expect, it } from 'vitest';
import { ArgumentError, type Tensor } from '../../src/index.js';
import {
  type AttentionTrace,
  type FeedForwardTrace,
  type StackTrace,
  type SubLayerTrace,
  type Trace,
  trace,
  type Values,
} from '../../src/inspect/index.js';
import type { ModelInputs, ModelOutput } from '../../src/models/inputs.js';
import { FeedForward, type Stack, TransformerLayer } from '../../src/nn/index.js';
import { activate } from '../../src/ops/activation.js';
import { mul } from '../../src/ops/index.js';
import { type LoadedModel, loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { families, familyCases } from '../pretrained/family-cases.js';
import { filesOf, inputsOf, referenceOf } from '../pretrained/reference.js';
import { assertClose, largest } from '../tolerance.js';

/** Models whose layers are in stages or several stacks, or that read only with further inputs. */
const refusals: readonly (readonly [names: RegExp, message: RegExp])[] = [
  [
    /^(bit-|clap(?!-texts)|convnext|depth|detr|dpt|resnet|r[ft].detr|sam|segformer|yolos)/,
    /has no single stack of layers/,
  ],
  [/^(donut-)?swin|^vision-m?bart/, /0 stacks of layers read the source/],
  [/^siglip2-/, /expected images, a tensor/],
  [/^layoutlmv3/, /reads words with boxes/],
  [/^longformer-question/, /has 0 separators/],
  [/^speecht5/, /writes frames, not tokens/],
];

/** Settings of a copy of a checkpoint's config, for wirings that no checkpoint has. */
const changed: readonly (readonly [name: string, config: object])[] = [
  ['bloom', { apply_residual_connection_post_layernorm: true }],
  ['falcon_h1', { mlp_multipliers: [0.7, 1.6], attention_in_multiplier: 0.8, attention_out_multiplier: 1.3 }],
];

const ids = [5, 9, 17, 4, 6, 31, 8];
const models: LoadedModel[] = [];
afterAll(() => {
  for (const model of models) model.dispose();
});

const cases = [...familyCases.map((name) => [name, {}] as const), ...changed];

describe.each(cases)('%s %j', (name, settings) => {
  const load = async () => {
    const files = await filesOf(families, name);
    const config = { ...JSON.parse(new TextDecoder().decode(files['config.json'])), ...settings };
    files['config.json'] = new TextEncoder().encode(JSON.stringify(config));
    const model = await loadModel(await deviceFor(isas[0]!, 2), files, {});
    models.push(model);
    return { model, first: firstOf(inputsOf(model.device, await referenceOf(families, name))) };
  };
  /** Arguments of `trace`: a source, a target, or one of both sources of a model of texts and images. */
  const readsOf = (model: LoadedModel, first: ModelInputs) => {
    const text = model.takes('inputIds') || model.decoder ? ids.map((id) => id % model.vocabSize) : ids;
    const target = model.decoder ? (model.encoder ? text.slice(1, 5) : text) : undefined;
    if (model.decoder && !model.encoder) return [[null, target]] as const;
    const signal = first.pixelValues ?? first.inputFeatures ?? first.inputValues;
    if (!model.takes('inputIds')) return [[signal!, target]] as const;
    const isOfImages = signal?.shape.length === 4; // SigLIP 2 reads patches of several grids
    return isDual(model) && isOfImages
      ? ([
          [text, undefined],
          [signal, undefined],
        ] as const)
      : ([[text, target]] as const);
  };

  const [, message] = refusals.find(([names]) => names.test(name)) ?? [];
  if (message)
    it('is refused by name', async () => {
      const { model, first } = await load();
      const [source, target] = readsOf(model, first)[0]!;
      const traced = trace(model, source, target);
      await expect(traced).rejects.toThrow(ArgumentError);
      await expect(traced).rejects.toThrow(message);
    });
  else
    it('has the values of the pass', async () => {
      const { model, first } = await load();
      for (const [source, target] of readsOf(model, first)) {
        const traced = await trace(model, source, target);
        const inputs = inputsFor(model, first, source, target);
        const all = model.forward(inputs, { hiddenStates: true, attentions: true });
        await compare(model, traced, outputOf(all, source));
      }
    });
});

/** Inputs of a pass that reads the same as `trace(model, source, target)`. `first` has the signals of the model. */
function inputsFor(model: LoadedModel, first: ModelInputs, source: unknown, target: number[] | undefined): ModelInputs {
  const text = model.takes('inputIds') ? { inputIds: [Array.isArray(source) ? source : (target ?? ids)] } : {};
  const signals = model.takes('inputIds') && !isDual(model) ? {} : first;
  return { ...signals, ...text, ...(target && source ? { decoderInputIds: [target] } : {}) };
}

/** The part of an output that belongs to the source. */
function outputOf(all: ModelOutput, source: unknown): ModelOutput {
  return (Array.isArray(source) ? all.textModelOutput : all.visionModelOutput) ?? all;
}

/** True for a model of texts and images that reads each with a tower of its own. */
function isDual(model: LoadedModel): boolean {
  return 'text' in model && 'vision' in model && model.text !== null && model.vision !== null;
}

async function compare(model: LoadedModel, { encoder, decoder, logits }: Trace, output: ModelOutput) {
  const sides = [
    ['encoder', encoder, output.encoderHiddenStates, output.encoderAttentions],
    ['decoder', decoder, output.decoderHiddenStates, output.decoderAttentions],
  ] as const;
  for (const [side, stack, hidden = output.hiddenStates, maps = output.attentions] of sides) {
    if (!stack) continue;
    // Mamba-2 gives the outputs of layers as its hidden states.
    const rows = stack.layers.map(({ input, output: after }) => (model.config.model_type === 'mamba2' ? after : input));
    if (model.config.model_type === 'owlv2') expect(hidden).toBeUndefined();
    else await expectSame(`${side}: rows of layers`, rows, hidden);
    const inside = stack.layers.flatMap(({ selfAttention }) => selfAttention?.inside ?? []);
    if (inside.length === maps?.length) {
      const weights = inside.map((each) => each.weights);
      await expectSame(`${side}: maps`, weights, maps);
    }
    checkSums(model, side, stack);
  }
  const cross = decoder?.layers.flatMap(({ crossAttention }) => crossAttention?.inside.weights ?? []) ?? [];
  if (cross.length > 0) await expectSame('cross maps', cross, output.crossAttentions);
  await checkEnd((decoder ?? encoder)!, logits, output);
}

/** The first item of a batch. */
function firstOf(inputs: ModelInputs): ModelInputs {
  const first = (value: unknown) => (Array.isArray(value) ? value.slice(0, 1) : (value as Tensor).rows(0, 1));
  const signals = ['pixelValues', 'inputFeatures', 'inputValues', 'spatialShapes', 'bbox'] as const;
  return Object.fromEntries(signals.flatMap((key) => (inputs[key] ? [[key, first(inputs[key])]] : [])));
}

/** Equal bits, and as many of `actual` as there are layers. */
async function expectSame(what: string, actual: readonly Values[], expected: readonly Tensor[] | undefined) {
  expect(expected?.length ?? 0, what).toBeGreaterThanOrEqual(actual.length);
  for (const [i, { data }] of actual.entries()) {
    const { shape } = expected![i]!;
    const values = (await expected![i]!.data()) as Float32Array;
    const width = shape.at(-1)!;
    // Gemma 3n shows its streams one after the other, [streams, 1, T, d]; rows have them side by side.
    const [streams, , time] = shape as [number, number, number];
    const ofRow = (at: number) =>
      (Math.floor(at / width) % streams) * time * width + Math.floor(at / (streams * width)) * width + (at % width);
    const isStreams = shape.length === 4 && what.endsWith('rows of layers');
    expect(data, `${what} ${i}`).toEqual(isStreams ? values.map((_, at) => values[ofRow(at)]!) : values);
  }
}

async function checkEnd({ output }: StackTrace, logits: Values, forward: ModelOutput) {
  const last = forward.lastHiddenState;
  if (last && last.size === output.data.length) expect(output.data).toEqual(await last.data());
  if (forward.logits?.size === logits.data.length) expect(logits.data).toEqual(await forward.logits.data());
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
      if (n > 0 && selfAttention && isPlain(modules?.[i])) expect(step.input).toEqual(steps[n - 1]!.output);
      checkSum(modules?.[i], step);
    }
    const { sinks } = (modules?.[i]?.selfAttn ?? {}) as { sinks?: Tensor };
    for (const attention of [selfAttention, crossAttention])
      if (attention) checkAttention(attention.inside, sinks?.dataSync() as Float32Array | undefined);
    if (feedForward) checkNetwork(model, modules?.[i], feedForward.inside);
  }
}

function checkSum(layer: TransformerLayer | undefined, { input, branch, sum, norm, output }: SubLayerTrace<unknown>) {
  const wiring = isPlain(layer) ? layer.wiring : null;
  const terms =
    wiring === 'normed' ? [norm!.output, branch] : wiring === 'branch' ? [input, norm!.output] : [input, branch];
  if (typeof wiring !== 'string') return;
  expect(sum.data).toEqual(sum.data.map((_, i) => terms[0]!.data[i]! + terms[1]!.data[i]!));
  if (wiring === 'post' && norm) expect([norm.input, norm.output]).toEqual([sum, output]);
  else if (wiring !== 'post') expect(output).toEqual(sum);
}

/** True for a layer that has no steps of its own besides its sub-layers. */
function isPlain(layer: TransformerLayer | undefined): layer is TransformerLayer {
  return layer?.constructor === TransformerLayer;
}

/** The input of the last projection is activation(hidden) ⊙ gate, but for steps that some families add. */
function checkNetwork(
  { device, config }: LoadedModel,
  layer: TransformerLayer | undefined,
  { hidden, gate, active }: FeedForwardTrace,
) {
  const network = layer?.feedForward;
  if (!(network instanceof FeedForward) || ['bitnet', 'gemma3n_text', 'gemma3n'].includes(config.model_type as string))
    return;
  const tensorOf = ({ data, shape }: Values) => device.tensor(data, shape);
  const activated = activate('test', tensorOf(hidden), network.activation);
  const expected = gate ? mul(activated, tensorOf(gate)) : activated;
  expect(active.data).toEqual(expected.dataSync());
}

/** softmax(scores), with `sinks` in its sum, and the mean of values, in float64. */
function checkAttention(
  { scores, weights, v, outputs, causal, window, relativeValues }: AttentionTrace,
  sinks?: Float32Array,
) {
  const [heads, queries, keys] = weights.shape as [number, number, number];
  const width = v.shape[2]!;
  const [before, after] = typeof window === 'number' ? [window, window] : (window ?? [Infinity, Infinity]);
  const expected = new Float64Array(weights.data.length);
  for (let row = 0; row < heads * queries; row++) {
    const query = row % queries;
    const sees = (key: number) => !(key > query ? causal || key - query >= after : query - key >= before);
    const powers = Array.from({ length: keys }, (_, key) => (sees(key) ? Math.exp(scores.data[row * keys + key]!) : 0));
    const sink = sinks ? Math.exp(sinks[Math.floor(row / queries)]!) : 0;
    const total = powers.reduce((a, b) => a + b, sink);
    for (const [key, power] of powers.entries()) expected[row * keys + key] = power / total;
  }
  assertClose('weights', weights.data, expected, () => 1e-5);
  if (relativeValues) return;
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
