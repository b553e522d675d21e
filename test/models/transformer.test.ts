import { describe, expect, it } from 'vitest';
import { ShapeError } from '../../src/index.js';
import { crossEntropy } from '../../src/ops/index.js';
import { deviceFor } from '../describe-op.js';
import { Random } from '../random.js';
import { allowedError } from '../tolerance.js';

import { best, build, inputsOf, lossOf, models, sources, targets } from './small-models.js';

describe.each(Object.entries(models))('%s', (_, options) => {
  it('has the gradients of its loss', async () => {
    const device = await deviceFor(best, 2);
    // Differences across a kink of relu say nothing.
    const { activation = 'gelu', encoderLayers = 1, decoderLayers = 1 } = options;
    const model = build(device, { ...options, activation, encoderLayers, decoderLayers });
    lossOf(model).backward();
    const random = new Random('directions');
    for (const [name, parameter] of model.namedTensors()) {
      const gradient = parameter.grad?.dataSync() as Float32Array;
      expect(gradient, name).toBeDefined();
      // Half of the direction is the gradient's own, where there is most to see, half is any.
      const own = norm(gradient) || 1;
      const other = random.normal([gradient.length]).data;
      const direction = gradient.map((g, i) => g / own + other[i]! / norm(other));
      const slope = gradient.reduce((sum, g, i) => sum + g * direction[i]!, 0);
      const before = parameter.dataSync() as Float32Array;
      const at = (step: number) => {
        parameter.write(before.map((x, i) => x + step * direction[i]!));
        return lossOf(model).dataSync()[0]!;
      };
      const difference = (step: number) => (at(step) - at(-step)) / (2 * step);
      const [coarse, fine] = [difference(2 ** -5), difference(2 ** -6)];
      parameter.write(before);
      // Richardson: the difference of both says what is left of the third derivative; the loss itself is rounded.
      const allowed = Math.abs(coarse - fine) + allowedError(40, 4 * 2 ** 6);
      expect(Math.abs(fine - slope), `${name}: slope ${slope}, by differences ${fine}`).toBeLessThan(allowed);
    }
  });

  it('gives a sequence the same logits alone, packed, padded and on any number of threads', async () => {
    const model = build(await deviceFor(best, 2), options);
    const [source, target] = inputsOf(model);
    const together = await model.forward(source, target).data();
    const rows = target ?? source!;
    const time = Math.max(...rows.map((row) => row.length));
    const vocabulary = together.length / time / rows.length;
    for (const [b, row] of rows.entries()) {
      const alone = await model.forward(source && [source[b]!], target && [target[b]!]).data();
      const start = b * time * vocabulary;
      expect(alone).toEqual(together.subarray(start, start + alone.length));
      expect(together.subarray(start + row.length * vocabulary, start + time * vocabulary).every((x) => x === 0)).toBe(
        true,
      );
    }
    const pack = (some: number[][]) => ({ ids: some.flat(), lengths: some.map((row) => row.length) });
    const packed = await model.forward(source && pack(source), target && pack(target)).data();
    const tokens = rows.map((row, b) => together.subarray(b * time * vocabulary, (b * time + row.length) * vocabulary));
    expect(packed).toEqual(Float32Array.from(tokens.flatMap((part) => [...part])));

    const single = build(await deviceFor(best, 1), options);
    expect(await single.forward(source, target).data()).toEqual(together);
  });

  if (options.decoderLayers !== 0)
    it('hides later tokens from each target token', async () => {
      const model = build(await deviceFor(best, 2), options);
      const source = options.encoderLayers === 0 ? null : [[3, 4, 5]];
      const earlier = (last: number) => {
        const logits = model.forward(source, [[1, 4, 5, last]]).dataSync();
        return logits.subarray(0, (logits.length * 3) / 4);
      };
      expect(earlier(6)).toEqual(earlier(7));
    });

  if (options.encoderLayers !== 0)
    it('lets source tokens attend in both directions', async () => {
      const model = build(await deviceFor(best, 2), options);
      const first = (last: number) =>
        model
          .encode([[3, 4, 5, last]])
          .hidden.rows(0, 1)
          .dataSync();
      expect(first(6)).not.toEqual(first(7));
    });

  it('returns its attention maps', async () => {
    const model = build(await deviceFor(best, 2), options);
    const [source, target] = inputsOf(model);
    const { encoder = 2, decoder = 2 } = { encoder: options.encoderLayers, decoder: options.decoderLayers };
    const maps = model.attentionMaps(source, target);
    expect(maps.encoder.length).toBe(encoder);
    expect(maps.decoder.length).toBe(decoder);
    expect(maps.cross.length).toBe(encoder && decoder);
    const checkRows = async (
      map: (typeof maps.encoder)[number],
      queries: number[][],
      keys: number[][],
      causal: boolean,
    ) => {
      const [timeQ, timeK] = [queries, keys].map((rows) => Math.max(...rows.map((row) => row.length))) as [
        number,
        number,
      ];
      expect(map.shape).toEqual([queries.length, 4, timeQ, timeK]);
      const weights = await map.data();
      for (let row = 0; row * timeK < weights.length; row++) {
        const [b, i] = [Math.floor(row / timeQ / 4), row % timeQ];
        const values = weights.subarray(row * timeK, (row + 1) * timeK);
        const seen = causal ? i + 1 : keys[b]!.length;
        const isQuery = i < queries[b]!.length;
        expect(Array.from(values).reduce((sum, x) => sum + x, 0)).toBeCloseTo(isQuery ? 1 : 0, 5);
        expect(values.subarray(isQuery ? seen : 0).every((x) => x === 0)).toBe(true);
      }
    };
    for (const map of maps.encoder) await checkRows(map, sources, sources, false);
    for (const map of maps.decoder) await checkRows(map, targets, targets, true);
    for (const map of maps.cross) await checkRows(map, targets, sources, false);
  });

  it('is unchanged by saving and loading a state dict', async () => {
    const device = await deviceFor(best, 2);
    const model = build(device, options);
    const copy = build(device, { ...options, seed: 6 });
    copy.loadStateDict(model.stateDict());
    const inputs = inputsOf(model);
    expect(copy.forward(...inputs).dataSync()).toEqual(model.forward(...inputs).dataSync());
    expect(Object.keys(copy.stateDict())).toEqual(Object.keys(model.stateDict()));
  });
});

describe('loss', () => {
  it('ignores padding labels, and counts each sequence once', async () => {
    const model = build(await deviceFor(best, 2), {});
    const each = targets.map((target, b) => model.loss([sources[b]!], [target]).dataSync()[0]! * (target.length - 1));
    const labels = targets.reduce((sum, target) => sum + target.length - 1, 0);
    const mean = each.reduce((sum, loss) => sum + loss, 0) / labels;
    expect(model.loss(sources, targets).dataSync()[0]).toBeCloseTo(mean, 5);
    const width = Math.max(...targets.map((target) => target.length));
    const padded = targets.map((target) => [...target, ...Array(width - target.length).fill(0)]);
    expect(model.loss(sources, padded).dataSync()).toEqual(model.loss(sources, targets).dataSync());
  });
});

it('trains labels of source tokens, except those equal to ignoreIndex', async () => {
  const device = await deviceFor(best, 2);
  const model = build(device, { decoderLayers: 0, targetVocab: 9 });
  const labels = [
    [5, 0, 2, 0, 0],
    [3, 0, 0, 0, 0],
    [0, 8, 0, 0, 0],
  ];
  const ignoring = { ignoreIndex: 0 };
  const loss = model.loss(sources, labels, ignoring).dataSync()[0]!;
  const logits = model.forward(sources);
  const flat = device.tensor(Int32Array.from(labels.flat()), [3, 5]);
  expect(loss).toBeCloseTo(crossEntropy(logits, flat, { ignoreIndex: 0 }).dataSync()[0]!, 6);
  const ragged = labels.map((row, b) => row.slice(0, sources[b]!.length));
  expect(model.loss(sources, ragged, ignoring).dataSync()[0]).toBe(loss);
  const packed = { ids: ragged.flat(), lengths: ragged.map((row) => row.length) };
  expect(model.loss(sources, packed, ignoring).dataSync()[0]).toBe(loss);
  expect(model.countLabels(sources, labels, ignoring)).toBe(4);
  expect(() => model.loss(sources, [[5], [3], [2]])).toThrow(ShapeError);
  expect(() => model.loss(sources, labels.slice(1))).toThrow(ShapeError);
});

it('trains class 0, and ignores the label -100 by default', async () => {
  const device = await deviceFor(best, 2);
  const model = build(device, { decoderLayers: 0, targetVocab: 9 });
  const labels = sources.map((row, b) => row.map((_, i) => (i === b ? -100 : 0)));
  const loss = model.loss(sources, labels).dataSync()[0]!;
  const flat = device.tensor(labels.flat(), [labels.flat().length], { dtype: 'int32' });
  const [ids, lengths] = [sources.flat(), sources.map((row) => row.length)];
  const expected = crossEntropy(model.forward({ ids, lengths }), flat, { ignoreIndex: -100 });
  expect(loss).toBe(expected.dataSync()[0]);
  expect(model.countLabels(sources, labels)).toBe(labels.flat().filter((label) => label === 0).length);
  const padded = labels.map((row) => [...row, ...Array(6 - row.length).fill(-100)]);
  expect(model.loss(sources, padded).dataSync()[0]).toBe(loss);
  const gradient = model.generator.bias!;
  model.loss(sources, labels).backward();
  expect(gradient.grad!.dataSync()[0]).toBeLessThan(0); // a step makes class 0 more probable
});

it('refuses labels without a token, and treats the padding id as ordinary if there is no padding', async () => {
  const device = await deviceFor(best, 2);
  const tagger = build(device, { decoderLayers: 0, targetVocab: 9 });
  const surplus = sources.map((row) => [...row, 0]);
  expect(() => tagger.loss(sources, surplus)).toThrow(ShapeError);
  expect(() => tagger.loss(sources, surplus)).toThrow(/row 0 of target has \d labels, but that of source \d tokens/);
  expect(() => tagger.loss(sources, sources, { ignoreIndex: 0.5 })).toThrow('ignoreIndex is 0.5, expected a 32-bit');
  const model = build(device, {});
  const target = [[1, 0, 4, 2]];
  const source = [sources[0]!];
  expect(model.countLabels(source, target)).toBe(3);
  expect(model.countLabels(source, target, { ignoreIndex: 0 })).toBe(2);
  const labels = device.tensor([0, 4, 2], [3], { dtype: 'int32' });
  const logits = model.forward(source, { ids: [1, 0, 4], lengths: [3] });
  for (const ignoreIndex of [null, 0]) {
    const expected = crossEntropy(logits, labels, { ignoreIndex }).dataSync();
    expect(model.loss(source, target, { ignoreIndex }).dataSync()).toEqual(expected);
  }
  expect(model.loss(source, target).dataSync()).toEqual(model.loss(source, target, { ignoreIndex: null }).dataSync());
});

it('frees its memory', async () => {
  const device = await deviceFor(best, 2);
  const before = device.memory().used;
  device.scope(() => {
    const model = build(device, { dropout: 0.1 });
    lossOf(model).backward();
    model.forward(sources, targets);
    model.attentionMaps(sources, targets);
    model.dispose();
  });
  expect(device.memory().used).toBe(before);
});

function norm(values: ArrayLike<number>): number {
  return Math.hypot(...Array.from(values));
}

it('uses all bits of seeds of more than 31 bits', async () => {
  const device = await deviceFor(best, 2);
  const weights = [3, 2 ** 31 + 3, 2 ** 32 + 3].map((seed) => build(device, { seed }).parameters()[0]!.dataSync());
  expect(weights[1]).not.toEqual(weights[0]);
  expect(weights[2]).not.toEqual(weights[0]);
});
