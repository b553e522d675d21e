import { describe, expect, it } from 'vitest';
import { ShapeError } from '../../src/index.js';
import { Conv1d, Conv2d, Initializer, LayerScale, PatchEmbedding } from '../../src/nn/index.js';
import { type GridSize, interpolate } from '../../src/nn/interpolation.js';
import { describeOp, deviceFor, isas } from '../describe-op.js';
import { conv2d } from '../reference/conv.js';
import { build, type Reals } from '../reference/reals.js';
import interpolated from './interpolation.json' with { type: 'json' };

const device = await deviceFor(isas[0]!, 2);
const init = () => new Initializer(device, 3);

type Mode = 'bilinear' | 'bicubic';

/** Interpolation by its formula: each result is a sum over sixteen taps, of which a bilinear one has four that count. */
function interpolation(mode: Mode, table: Reals, from: GridSize, to: GridSize): Reals {
  const features = table.shape[1]!;
  const kernel = (distance: number) => {
    const x = Math.abs(distance);
    if (mode === 'bilinear') return Math.max(0, 1 - x);
    if (x <= 1) return 1.25 * x ** 3 - 2.25 * x ** 2 + 1;
    return x < 2 ? -0.75 * x ** 3 + 3.75 * x ** 2 - 6 * x + 3 : 0;
  };
  const place = (i: number, d: 0 | 1) => {
    const at = ((i + 0.5) * from[d]) / to[d] - 0.5;
    return mode === 'bilinear' ? Math.max(0, at) : at;
  };
  const within = (i: number, d: 0 | 1) => Math.min(from[d] - 1, Math.max(0, i));
  return build([to[0] * to[1], features], (index) => {
    const [feature, at] = [index % features, Math.floor(index / features)];
    const [y, x] = [place(Math.floor(at / to[1]), 0), place(at % to[1], 1)];
    let sum = 0;
    for (let i = Math.floor(y) - 1; i <= Math.floor(y) + 2; i++) {
      for (let j = Math.floor(x) - 1; j <= Math.floor(x) + 2; j++) {
        const value = table.data[(within(i, 0) * from[1] + within(j, 1)) * features + feature]!;
        sum += kernel(y - i) * kernel(x - j) * value;
      }
    }
    return sum;
  });
}

for (const mode of ['bilinear', 'bicubic'] as const)
  describeOp({
    name: mode,
    cases: [
      { from: [1, 1], to: [3, 2], features: 1 },
      { from: [4, 4], to: [7, 5], features: 3 },
      { from: [9, 9], to: [4, 16], features: 5 },
    ] as { from: GridSize; to: GridSize; features: number }[],
    inputs: ({ from, features }, random) => ({ table: random.normal([from[0] * from[1], features]) }),
    forward: ({ table }, { from, to }) => interpolate(mode, table, from, to),
    reference: ({ table }, { from, to }) => interpolation(mode, table, from, to),
    gradients: ['table'],
    tolerance: ({ from, to }) => 3 * Math.max(from[0] + from[1], to[0] + to[1]),
  });

it.each(interpolated)('bicubic agrees with torch: $from to $to', ({ from, to, features, values }) => {
  const table = Float32Array.from({ length: from[0]! * from[1]! * features }, (_, i) => Math.sin(1.7 * i));
  const actual = interpolate(
    'bicubic',
    device.tensor(table, [from[0]! * from[1]!, features]),
    from as never,
    to as never,
  ).dataSync();
  expect(actual.length).toBe(values.length);
  actual.forEach((value, i) => {
    expect(Math.abs(value - values[i]!)).toBeLessThan(1e-5); // values are up to 1, with eight rounded terms
  });
});

interface Images {
  readonly batch: number;
  readonly size: GridSize;
  readonly image: GridSize;
  readonly patch: GridSize;
  readonly classToken: boolean;
}
const [channels, dModel] = [2, 5];

describeOp({
  name: 'PatchEmbedding',
  cases: [
    { batch: 1, size: [2, 3], image: [2, 3], patch: [2, 3], classToken: false },
    { batch: 3, size: [7, 6], image: [7, 6], patch: [3, 2], classToken: true },
    { batch: 2, size: [4, 10], image: [6, 6], patch: [2, 2], classToken: true },
    { batch: 2, size: [8, 8], image: [6, 6], patch: [2, 2], classToken: false },
  ] as Images[],
  inputs: ({ batch, size, image, patch, classToken }, random) => ({
    pixels: random.normal([batch, channels, ...size]),
    weight: random.normal([dModel, channels, ...patch]),
    bias: random.normal([dModel]),
    token: classToken ? random.normal([dModel]) : null,
    positions: random.normal([gridOf(image, patch)[0] * gridOf(image, patch)[1] + (classToken ? 1 : 0), dModel]),
  }),
  forward: ({ pixels, weight, bias, token, positions }, { size, image, patch, classToken }) => {
    const interpolate = size !== image && size.join() !== image.join();
    const options = { dModel, channels, image, patch, classToken, interpolate };
    const module = new PatchEmbedding(new Initializer(pixels.device, 0), options);
    module.dispose();
    Object.assign(module.projection, { weight, bias });
    return Object.assign(module, { classToken: token, positions }).forward(pixels);
  },
  reference: ({ pixels, weight, bias, token, positions }, { batch, size, image, patch }) => {
    const options = { stride: patch, padding: [0, 0], dilation: [1, 1], groups: 1 } as const;
    const y = conv2d(pixels, weight, bias, options);
    const [rows, columns] = gridOf(size, patch);
    const first = token ? 1 : 0;
    const rest = { shape: [positions.shape[0]! - first, dModel], data: positions.data.subarray(first * dModel) };
    const places =
      size.join() === image.join() ? rest : interpolation('bicubic', rest, gridOf(image, patch), [rows, columns]);
    const count = rows * columns + first;
    return build([batch, count, dModel], (index) => {
      const [d, at, b] = [index % dModel, Math.floor(index / dModel) % count, Math.floor(index / dModel / count)];
      if (at < first) return token!.data[d]! + positions.data[d]!;
      return y.data[(b * dModel + d) * rows * columns + at - first]! + places.data[(at - first) * dModel + d]!;
    });
  },
  gradients: ['pixels', 'weight', 'bias', 'token', 'positions'],
  tolerance: ({ batch, size }) => batch * size[0] * size[1] * channels + 30,
});

function gridOf([height, width]: GridSize, patch: GridSize): GridSize {
  return [Math.floor(height / patch[0]), Math.floor(width / patch[1])];
}

describe('parts for images and sound', () => {
  it('PatchEmbedding refuses images of another size, or of other channels', () => {
    const options = { dModel, channels: 3, image: [4, 4], patch: [2, 2] } as const;
    const fixed = new PatchEmbedding(init(), options);
    expect(() => fixed.forward(device.zeros([1, 3, 4, 6]))).toThrow(ShapeError);
    expect(() => fixed.forward(device.zeros([1, 1, 4, 4]))).toThrow(ShapeError);
    expect(() => fixed.forward(device.zeros([3, 4, 4]))).toThrow(ShapeError);
    const free = new PatchEmbedding(init(), { ...options, interpolate: true });
    expect(free.forward(device.zeros([1, 3, 4, 7])).shape).toEqual([1, 7, dModel]);
    expect(() => free.forward(device.zeros([1, 3, 1, 7]))).toThrow(ShapeError);
    expect(() => new PatchEmbedding(init(), { ...options, image: [1, 4] })).toThrow(ShapeError);
    expect(() => new PatchEmbedding(init(), { ...options, size: 3 } as never)).toThrow(/size/);
  });

  it("Conv1d and Conv2d have PyTorch's names and layouts", () => {
    const sound = new Conv1d(init(), { inputs: 4, outputs: 6, kernel: 3, stride: 2, padding: 1, groups: 2 });
    const shapes = Object.entries(sound.stateDict()).map(([name, { shape }]) => [name, shape]);
    expect(shapes).toEqual([
      ['weight', [6, 2, 3]],
      ['bias', [6]],
    ]);
    expect(sound.forward(device.zeros([2, 4, 9])).shape).toEqual([2, 6, 5]);
    const images = new Conv2d(init(), {
      inputs: 3,
      outputs: 8,
      kernel: [2, 4],
      stride: [2, 4],
      channelsLast: true,
      bias: false,
    });
    expect(Object.keys(images.stateDict())).toEqual(['weight']);
    expect(images.forward(device.zeros([1, 4, 8, 3])).shape).toEqual([1, 2, 2, 8]);
    expect(() => new Conv1d(init(), { inputs: 3, outputs: 6, kernel: 3, groups: 2 })).toThrow(/groups is 2/);
  });

  it('LayerScale multiplies each feature', () => {
    const part = new LayerScale(init(), 3, 0.5);
    part.loadStateDict({ weight: device.tensor([1, -2, 3]) });
    expect([...part.forward(device.tensor([[1, 2, 3]])).dataSync()]).toEqual([1, -4, 9]);
  });
});
