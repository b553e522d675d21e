import { describe, expect, it } from 'vitest';
import { rmsNorm } from '../../src/ops/index.js';
import { describeOp, deviceFor, edges, isas } from '../describe-op.js';
import { sizeOf } from '../random.js';
import { rmsNorm as reference } from '../reference/norm.js';
import { lastOf } from '../reference/reals.js';

interface Sizes {
  readonly shape: readonly number[];
  readonly eps?: number;
  readonly offset?: number;
  readonly axis?: number;
  readonly gamma?: false;
}

const cases: Sizes[] = [
  ...edges().map((cols) => ({ shape: [3, cols] })),
  { shape: [1, 5000] },
  { shape: [2, 33, 20] },
  { shape: [5, 24], eps: 1e-12 },
  { shape: [5, 24], gamma: false },
  ...[3, 15, 16, 33, 49].map((cols) => ({ shape: [3, cols], offset: 1 })),
  { shape: [70, 24], offset: -0.5 },
  { shape: [3, 4, 5], axis: 1, offset: 1 },
  { shape: [2, 3, 4, 5], axis: -2 },
  { shape: [3, 40], axis: 0 },
];

/** The dimensions that are normalised together. */
const normalOf = ({ shape, axis = -1 }: Sizes) => shape.slice(axis);

describeOp({
  name: 'rmsNorm',
  cases,
  inputs: (sizes, random) => ({
    x: random.normal(sizes.shape),
    gamma: sizes.gamma === false ? null : random.normal(normalOf(sizes)),
  }),
  forward: ({ x, gamma }, { eps, offset, axis }) => rmsNorm(x, gamma, { eps, offset, axis }),
  reference({ x, gamma }, sizes) {
    const { eps = 2 ** -23, offset } = sizes;
    const cols = sizeOf(normalOf(sizes));
    const { data } = reference({ shape: [x.data.length / cols, cols], data: x.data }, gamma, eps, offset);
    return { shape: x.shape, data };
  },
  gradients: ['x', 'gamma'],
  tolerance: (sizes) => Math.max(sizeOf(normalOf(sizes)), ...sizes.shape),
  // A single value keeps only eps·rstd² of its gradient: the rest cancels.
  cancelling: ({ x }, { shape }) => (lastOf(shape) === 1 ? Math.max(...x.data.map((value) => 1 / Math.abs(value))) : 0),
});

it.each(isas)('%s gives a row the same bits in a tensor of more than 32 MB', async (isa) => {
  const device = await deviceFor(isa, 2);
  const [rows, cols, few] = [17_000, 517, 40];
  const x = device.tensor(
    Float32Array.from({ length: rows * cols }, (_, i) => Math.sin(i * 1.7)),
    [rows, cols],
  );
  const all = device.noGrad(() => rmsNorm(x, null));
  for (const from of [0, rows - few]) {
    const alone = rmsNorm(x.rows(from, from + few), null);
    expect(await all.rows(from, from + few).data()).toEqual(await alone.data());
  }
  for (const tensor of [x, all]) tensor.dispose();
});

describe('rmsNorm', () => {
  it('maps a row of zeros to zeros', async () => {
    const device = await deviceFor(isas[0]!, 1);
    expect([...(await rmsNorm(device.zeros([2, 3]), null).data())]).toEqual([0, 0, 0, 0, 0, 0]);
  });

  it('names the op and the shapes that do not fit', async () => {
    const device = await deviceFor(isas[0]!, 1);
    expect(() => rmsNorm(device.zeros([2, 3]), device.zeros([2]))).toThrow('rmsNorm: gamma is [2], expected [3]');
  });

  it('an offset of 1 gives the same result as 1 + gamma', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const x = device.tensor(
      Float32Array.from({ length: 60 }, (_, i) => Math.sin(i)),
      [3, 20],
    );
    const gamma = Float32Array.from({ length: 20 }, (_, i) => Math.cos(i) / 4);
    const apart = rmsNorm(x, device.tensor(gamma.map((value) => 1 + value)));
    const inside = rmsNorm(x, device.tensor(gamma), { offset: 1 });
    expect(await inside.data()).toEqual(await apart.data());
  });

  it('refuses unknown options, and an offset without a gamma', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const [x, gamma] = [device.zeros([2, 3]), device.zeros([3])];
    expect(() => rmsNorm(x, gamma, { epsilon: 1 } as object)).toThrow('rmsNorm: there is no option epsilon');
    expect(() => rmsNorm(x, gamma, { offset: Number.NaN })).toThrow('rmsNorm: offset is NaN, expected a number');
    expect(() => rmsNorm(x, null, { offset: 1 })).toThrow('rmsNorm: offset is 1, expected 0');
    expect(() => rmsNorm(x, gamma, { axis: 2 })).toThrow('rmsNorm: axis 2 is not a dimension of [2, 3]');
    expect(() => rmsNorm(x, gamma, { axis: 0 })).toThrow('rmsNorm: gamma is [3], expected [2, 3]');
  });
});
