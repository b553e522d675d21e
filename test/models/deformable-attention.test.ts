// Samples of deformable attention: sums over them, in float64, give the layer's output.

import { afterAll, expect, it } from 'vitest';
import { createDevice, type Tensor } from '../../src/index.js';
import { type SampledAttention, sampledAttention } from '../../src/inspect/index.js';
import { DeformableAttention } from '../../src/models/deformable-attention.js';
import { Initializer } from '../../src/nn/init.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { filesOf, referenceOf } from '../pretrained/reference.js';
import { Random } from '../random.js';
import { testData } from '../test-data.js';

const device = await createDevice({ threads: 2 });
afterAll(() => device.dispose());

it('mixes the values at its samples by their weights', async () => {
  const [batch, queries, dModel, heads, points] = [2, 3, 8, 2, 4];
  const grids = [
    [4, 6],
    [2, 3],
  ] as const;
  const random = new Random('samples');
  const attention = new DeformableAttention(new Initializer(device, 3), { dModel, heads, levels: 2, points });
  const tensor = (shape: number[], low: number, high: number) => {
    const { data } = random.uniform(shape, low, high);
    return device.tensor(data, shape);
  };
  const [x, boxes] = [tensor([batch, queries, dModel], -2, 2), tensor([batch, queries, 4], 0.2, 0.8)];
  const tokens = tensor([batch, 30, dModel], -1, 1);
  const observed: SampledAttention[] = [];
  attention.observeSamples = (samples) => void observed.push(samples);
  const output = (await attention.forward(x, boxes, { tokens, grids }).data()) as Float32Array;
  expect(observed).toHaveLength(1);
  const [samples] = observed as [SampledAttention];
  expect(samples.positions.shape).toEqual([batch, heads, queries, 2 * points, 2]);
  expect(samples.weights.shape).toEqual([batch, heads, queries, 2 * points]);
  const places = await samples.positions.data();
  const weights = await samples.weights.data();
  const values = await attention.valueProj.forward(tokens).data();

  const width = dModel / heads;
  const mixed = new Float32Array(batch * queries * dModel);
  const pixel = (b: number, level: number, row: number, column: number, feature: number) => {
    const [height, columns] = grids[level] as readonly [number, number];
    if (row < 0 || row >= height || column < 0 || column >= columns) return 0;
    const token = (level === 0 ? 0 : 24) + row * columns + column;
    return values[(b * 30 + token) * dModel + feature] as number;
  };
  for (let b = 0; b < batch; b++)
    for (let head = 0; head < heads; head++)
      for (let query = 0; query < queries; query++)
        for (let k = 0; k < 2 * points; k++) {
          const at = ((b * heads + head) * queries + query) * 2 * points + k;
          const level = Math.floor(k / points);
          const [height, columns] = grids[level] as readonly [number, number];
          const [column, row] = [
            (places[2 * at] as number) * columns - 0.5,
            (places[2 * at + 1] as number) * height - 0.5,
          ];
          const [left, top] = [Math.floor(column), Math.floor(row)];
          const [right, down] = [column - left, row - top];
          for (let i = 0; i < width; i++) {
            const feature = head * width + i;
            const sample =
              (1 - down) * (1 - right) * pixel(b, level, top, left, feature) +
              (1 - down) * right * pixel(b, level, top, left + 1, feature) +
              down * (1 - right) * pixel(b, level, top + 1, left, feature) +
              down * right * pixel(b, level, top + 1, left + 1, feature);
            const to = (b * queries + query) * dModel + feature;
            mixed[to] = (mixed[to] as number) + (weights[at] as number) * sample;
          }
        }
  const expected = await attention.outputProj.forward(device.tensor(mixed, [batch, queries, dModel])).data();
  for (const [i, value] of expected.entries()) expect(output[i]).toBeCloseTo(value as number, 5);
});

it('reports the samples of each decoder layer of RT-DETR', async () => {
  const place = [testData('families'), 'rt_detr'] as const;
  const model = await loadModel(device, await filesOf(...place));
  const entry = (await referenceOf(...place)).get('pixel_values')!;
  const pixels = device.tensor(entry.data() as Float32Array, entry.shape);
  const layers = sampledAttention(model, pixels);
  expect(layers).toHaveLength(model.config.decoder_layers as number);
  for (const { positions, weights } of layers) {
    expect(positions.shape).toEqual([...weights.shape, 2]);
    const samples = weights.shape[3] as number;
    const sums = sumsOf(weights, (await weights.data()) as Float32Array, samples);
    for (const sum of sums) expect(sum).toBeCloseTo(1, 5);
  }
  const again = model.modules().filter((part) => part instanceof DeformableAttention);
  expect(again.every(({ observeSamples }) => observeSamples === null)).toBe(true);
});

const sumsOf = ({ size }: Tensor, data: Float32Array, each: number) =>
  Array.from({ length: size / each }, (_, i) => data.subarray(i * each, (i + 1) * each).reduce((a, b) => a + b, 0));
