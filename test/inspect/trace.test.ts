import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ArgumentError, createDevice, type Device, ShapeError, type Transformer } from '../../src/index.js';
import {
  type AttentionTrace,
  headStatistics,
  type NormTrace,
  type StackTrace,
  type Trace,
  trace,
  type Values,
} from '../../src/inspect/index.js';
import { allowedError, assertClose, largest } from '../tolerance.js';
import { build, inputsOf, models, source, target } from './models.js';

let device: Device;
beforeAll(async () => {
  device = await createDevice({ threads: 2 });
});
afterAll(() => device.dispose());

/** Allows for the roundings between a pass and one that computes the same in other steps. */
function expectClose(what: string, actual: ArrayLike<number>, expected: ArrayLike<number>): void {
  assertClose(what, actual, expected, () => allowedError(200, 2 * largest(expected)));
}

function attentionsOf(traced: Trace): AttentionTrace[] {
  const layers = [traced.encoder, traced.decoder].flatMap((stack) => stack?.layers ?? []);
  return layers.flatMap(({ selfAttention, crossAttention }) =>
    crossAttention ? [selfAttention!.inside, crossAttention.inside] : [selfAttention!.inside],
  );
}

/** Row r of a matrix, or of the last two dimensions at a head. */
function row({ shape, data }: Values, r: number, head = 0): number[] {
  const [rows, cols] = shape.slice(-2) as [number, number];
  return [...data.subarray((head * rows + r) * cols, (head * rows + r + 1) * cols)];
}

const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, i) => sum + x * b[i]!, 0);

describe.each(Object.entries(models))('%s', (_, options) => {
  let model: Transformer;
  let traced: Trace;
  beforeAll(async () => {
    model = build(device, options);
    traced = await trace(model, ...inputsOf(model));
  });

  it('gives the logits of forward, and their softmax', async () => {
    const [from, to] = inputsOf(model);
    const logits = await model.forward(from && [from], to && [to]).data();
    expect(traced.logits.shape).toEqual([(to ?? (from as number[])).length, model.config.targetVocab]);
    expectClose('logits', traced.logits.data, logits);
    for (let i = 0; i < (traced.logits.shape[0] as number); i++) {
      const exponentials = row(traced.logits, i).map(Math.exp);
      const sum = exponentials.reduce((a, b) => a + b);
      expectClose(
        'probabilities',
        row(traced.probabilities, i),
        exponentials.map((e) => e / sum),
      );
    }
  });

  it('has the weights of attentionMaps, and rows that sum to 1', async () => {
    const [from, to] = inputsOf(model);
    const maps = model.attentionMaps(from && [from], to && [to]);
    const layersOf = (stack: StackTrace | null) => stack?.layers ?? [];
    const pairs = [
      ...layersOf(traced.encoder).map((layer, i) => [layer.selfAttention!, maps.encoder[i]!] as const),
      ...layersOf(traced.decoder).map((layer, i) => [layer.selfAttention!, maps.decoder[i]!] as const),
      ...layersOf(traced.decoder).flatMap(({ crossAttention }, i) =>
        crossAttention ? [[crossAttention, maps.cross[i]!] as const] : [],
      ),
    ];
    expect(pairs).toHaveLength(maps.encoder.length + maps.decoder.length + maps.cross.length);
    for (const [{ inside }, map] of pairs) {
      expect([1, ...inside.weights.shape]).toEqual(map.shape);
      expectClose('weights', inside.weights.data, await map.data());
      const [heads, queries] = inside.weights.shape as [number, number];
      for (let head = 0; head < heads; head++) {
        for (let i = 0; i < queries; i++) {
          const weights = row(inside.weights, i, head);
          expect(
            Math.abs(
              dot(
                weights,
                weights.map(() => 1),
              ) - 1,
            ),
          ).toBeLessThan(allowedError(weights.length, 1));
          if (inside.causal) expect(weights.slice(i + 1).every((weight) => weight === 0)).toBe(true);
        }
      }
      expect(await headStatistics(inside.weights)).toEqual(
        await headStatistics(device.tensor(inside.weights.data, map.shape)),
      );
    }
  });

  it('has scores that follow from its queries, keys and distances', () => {
    const { heads, dModel } = model.config;
    for (const { q, k, products, relative, relativeKeys, bias, scale, scores } of attentionsOf(traced)) {
      expect(scale).toBe(1 / Math.sqrt(dModel / heads));
      const [, queries, keys] = products.shape as [number, number, number];
      const at = (values: Values | null, i: number) => values?.data[i] ?? 0;
      const expected = Array.from({ length: heads * queries * keys }, (_, n) => {
        const [head, i, j] = [Math.floor(n / (queries * keys)), Math.floor(n / keys) % queries, n % keys];
        return dot(row(q, i, head), row(k, j, head));
      });
      expectClose('products', products.data, expected);
      expect(relative === null).toBe(relativeKeys === null);
      if (relative && relativeKeys) {
        const reach = (relativeKeys.shape[0]! - 1) / 2;
        const byDistance = expected.map((_, n) => {
          const [head, i, j] = [Math.floor(n / (queries * keys)), Math.floor(n / keys) % queries, n % keys];
          return dot(row(q, i, head), row(relativeKeys, reach + Math.max(-reach, Math.min(reach, j - i))));
        });
        expectClose('relative', relative.data, byDistance);
      }
      expectClose(
        'scores',
        scores.data,
        expected.map((product, n) => (product + at(relative, n)) * scale + at(bias, n)),
      );
    }
  });

  it('has norms that follow from mean and variance, and sums of input and output', () => {
    const { norm: place, layerNormEps, normalization } = model.config;
    const expectNormed = (norm: NormTrace, i: number) => {
      const x = row(norm.input, i);
      const mean = normalization === 'rms' ? 0 : x.reduce((a, b) => a + b) / x.length;
      const variance = x.reduce((total, value) => total + (value - mean) ** 2, 0) / x.length;
      assertClose('mean', row(norm.mean, i), [mean], () => allowedError(x.length, largest(x)));
      expectClose('variance', row(norm.variance, i), [variance]);
      const deviation = Math.sqrt(variance + layerNormEps);
      const normed = x.map(
        (value, j) => (norm.weight.data[j]! * (value - mean)) / deviation + (norm.bias?.data[j] ?? 0),
      );
      expectClose('norm', row(norm.output, i), normed);
    };
    for (const stack of [traced.encoder, traced.decoder].filter((each) => each !== null)) {
      let stream = stack.embedding.sum;
      const steps = stack.layers.flatMap((layer) => [layer.selfAttention, layer.crossAttention, layer.feedForward]);
      for (const step of steps.filter((each) => each !== null)) {
        const { input, inside, sum, output } = step;
        const norm = step.norm!;
        expect(input).toEqual(stream);
        expect(inside.input).toEqual(place === 'pre' ? norm.output : input);
        expect(norm.input).toEqual(place === 'pre' ? input : sum);
        expect(output).toEqual(place === 'pre' ? sum : norm.output);
        expect(sum.data).toEqual(input.data.map((x, i) => x + inside.output.data[i]!));
        for (let i = 0; i < input.shape[0]!; i++) expectNormed(norm, i);
        stream = output;
      }
      expect(stack.output).toEqual(stack.norm?.output ?? stream);
    }
  });
});

it('leaves no memory behind, and does not change the model', async () => {
  const model = build(device, { norm: 'pre' });
  await trace(model, source, target);
  const { used } = device.memory();
  await trace(model, source, target);
  expect(device.memory().used).toBe(used);
  expect(model.parameters().every(({ grad }) => grad === null)).toBe(true);
});

it('adds position vectors to the scaled rows of the table', async () => {
  const model = build(device, { positions: 'learned' });
  const { embedding } = (await trace(model, source, target)).encoder as StackTrace;
  const table = {
    shape: [11, 24],
    data: (await (model.srcEmbed as { weight: typeof model.generator.weight }).weight.data()) as Float32Array,
  };
  source.forEach((id, i) => {
    expect(row(embedding.token, i)).toEqual(row(table, id).map((x) => Math.fround(x * Math.fround(Math.sqrt(24)))));
    const sum = row(embedding.position as Values, i).map((x, j) => Math.fround(x + row(embedding.token, i)[j]!));
    expect(row(embedding.sum, i)).toEqual(sum);
  });
});

it('refuses layers that it cannot trace', async () => {
  const model = build(device, {});
  await expect(trace(model, null, target)).rejects.toThrow(ArgumentError);
  await expect(trace(model, undefined as never, target)).rejects.toThrow(ArgumentError);
  await expect(trace(model, source)).rejects.toThrow('this model takes a source and a target');
  await expect(trace(model, [], target)).rejects.toThrow(ShapeError);
  await expect(trace(model, Array(13).fill(3), target)).rejects.toThrow(
    "source: 13 tokens, but the model's maxSourceLength is 12",
  );
  await expect(trace(model, [99], target)).rejects.toThrow('embedding: row 0 of ids is 99, expected 0 to 10');
});
