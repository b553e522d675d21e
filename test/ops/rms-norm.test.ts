import { describe, expect, it } from 'vitest';
import { rmsNorm } from '../../src/index.js';
import { describeOp, deviceFor, edges, isas } from '../describe-op.js';
import { rmsNorm as reference } from '../reference/norm.js';
import { lastOf } from '../reference/reals.js';

interface Sizes {
  readonly shape: readonly number[];
  readonly eps?: number;
  readonly gamma?: false;
}

const cases: Sizes[] = [
  ...edges().map((cols) => ({ shape: [3, cols] })),
  { shape: [1, 5000] },
  { shape: [2, 33, 20] },
  { shape: [5, 24], eps: 1e-12 },
  { shape: [5, 24], gamma: false },
];

describeOp({
  name: 'rmsNorm',
  cases,
  inputs: ({ shape, gamma }, random) => ({
    x: random.normal(shape),
    gamma: gamma === false ? null : random.normal([lastOf(shape)]),
  }),
  forward: ({ x, gamma }, { eps }) => rmsNorm(x, gamma, { eps }),
  reference: ({ x, gamma }, { eps = 2 ** -23 }) => reference(x, gamma, eps),
  gradients: ['x', 'gamma'],
  tolerance: ({ shape }) => Math.max(...shape),
  // A single value keeps only eps·rstd² of its gradient: the rest cancels.
  cancelling: ({ x }, { shape }) => (lastOf(shape) === 1 ? Math.max(...x.data.map((value) => 1 / Math.abs(value))) : 0),
});

it.each(isas)('%s gives a row the same bits among more than a cache of 32 MB holds', async (isa) => {
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
  it('leaves a row of zeros zero', async () => {
    const device = await deviceFor(isas[0]!, 1);
    expect([...(await rmsNorm(device.zeros([2, 3]), null).data())]).toEqual([0, 0, 0, 0, 0, 0]);
  });

  it('names the op and the shapes that do not fit', async () => {
    const device = await deviceFor(isas[0]!, 1);
    expect(() => rmsNorm(device.zeros([2, 3]), device.zeros([2]))).toThrow('rmsNorm: gamma is [2], expected [3]');
  });
});
