import { expect, it } from 'vitest';
import { ArgumentError, ShapeError } from '../../src/index.js';
import { GroupNorm, Initializer } from '../../src/nn/index.js';
import { describeOp, deviceFor, isas } from '../describe-op.js';
import { build } from '../reference/reals.js';

describeOp({
  name: 'GroupNorm',
  cases: [
    { groups: 1, shape: [2, 3, 5] },
    { groups: 6, shape: [1, 6, 17] },
    { groups: 2, shape: [2, 4, 3, 7] },
  ],
  inputs: ({ shape }, random) => ({
    x: random.normal(shape),
    weight: random.normal([shape[1]!]),
    bias: random.normal([shape[1]!]),
  }),
  forward({ x, weight, bias }, { groups, shape }) {
    const module = new GroupNorm(new Initializer(x.device, 0), groups, shape[1]!);
    module.dispose();
    return Object.assign(module, { weight, bias }).forward(x);
  },
  reference({ x, weight, bias }, { groups, shape }) {
    const channels = shape[1]!;
    const places = shape.slice(2).reduce((size, n) => size * n, 1);
    const size = (channels / groups) * places;
    return build(shape, (i) => {
      const own = x.data.slice(Math.floor(i / size) * size, (Math.floor(i / size) + 1) * size);
      const mean = own.reduce((sum, value) => sum + value, 0) / size;
      const variance = own.reduce((sum, value) => sum + (value - mean) ** 2, 0) / size;
      const channel = Math.floor(i / places) % channels;
      return ((x.data[i]! - mean) / Math.sqrt(variance + 1e-5)) * weight.data[channel]! + bias.data[channel]!;
    });
  },
  gradients: ['x', 'weight', 'bias'],
  tolerance: ({ shape }) => 2 * shape.reduce((size, n) => size * n, 1),
});

it('refuses groups that do not divide the channels, and other channels', async () => {
  const device = await deviceFor(isas[0]!, 1);
  const init = new Initializer(device, 0);
  expect(() => new GroupNorm(init, 4, 6)).toThrow(ArgumentError);
  expect(() => new GroupNorm(init, 2, 6).forward(device.zeros([1, 5, 3]))).toThrow(ShapeError);
});
