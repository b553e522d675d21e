import { describe, expect, it } from 'vitest';
import { ShapeError } from '../../src/index.js';
import * as ops from '../../src/ops/index.js';
import { describeOp, deviceFor, edges, isas } from '../describe-op.js';
import { sigmoid } from '../reference/activation.js';
import { build, type Reals, sum } from '../reference/reals.js';

const reductions = ['none', 'sum', 'mean'] as const;
type Reduction = (typeof reductions)[number];
interface Case {
  readonly shape: readonly number[];
  readonly reduction: Reduction;
}

const cases: Case[] = [
  ...edges().map((n): Case => ({ shape: [2, n], reduction: 'none' })),
  ...reductions.map((reduction): Case => ({ shape: [3, 5, 7], reduction })),
];

function reduced(x: Reals, { shape, reduction }: Case, f: (x: number, i: number) => number): Reals {
  const losses = build(shape, (i) => f(x.data[i]!, i));
  if (reduction === 'none') return losses;
  return build([], () => sum(losses.data) / (reduction === 'mean' ? losses.data.length : 1));
}

const pairs = {
  mseLoss: [ops.mseLoss, (d: number) => d * d],
  l1Loss: [ops.l1Loss, Math.abs],
  smoothL1Loss: [
    (x, t, options) => ops.smoothL1Loss(x, t, { ...options, beta: 0.5 }),
    (d: number) => (Math.abs(d) < 0.5 ? d * d : Math.abs(d) - 0.25),
  ],
} as const satisfies Record<string, readonly [typeof ops.mseLoss, (d: number) => number]>;

for (const [name, [op, f]] of Object.entries(pairs)) {
  describeOp({
    name,
    cases,
    inputs: ({ shape }, random) => ({ x: random.normal(shape), t: random.normal(shape) }),
    forward: ({ x, t }, { reduction }) => op(x, t, { reduction }),
    reference: ({ x, t }, options) => reduced(x, options, (value, i) => f(value - t.data[i]!)),
    gradients: ['x', 't'],
    tolerance: ({ shape }) => shape.reduce((size, n) => size * n, 1),
  });
}

describeOp({
  name: 'bceWithLogits',
  cases,
  inputs: ({ shape }, random) => ({
    x: random.normal(shape, 3),
    t: random.uniform(shape, 0, 1),
    p: random.uniform([shape.at(-1)!], 0.5, 3),
    w: random.uniform([shape[0]!, ...shape.slice(1).map(() => 1)], 0.5, 2),
  }),
  forward: ({ x, t, p, w }, { reduction }) => ops.bceWithLogits(x, t, { reduction, posWeight: p, weight: w }),
  reference: ({ x, t, p, w }, options) =>
    reduced(x, options, (logit, i) => {
      const [target, cols] = [t.data[i]!, p.data.length];
      const loss = -p.data[i % cols]! * target * Math.log(sigmoid(logit)) - (1 - target) * Math.log(sigmoid(-logit));
      return loss * w.data[Math.floor(i / (x.data.length / w.data.length))]!;
    }),
  gradients: ['x', 't'],
  tolerance: ({ shape }) => shape.reduce((size, n) => size * n, 1),
});

for (const logTarget of [false, true]) {
  describeOp({
    name: logTarget ? 'klDiv of logarithms' : 'klDiv',
    cases,
    inputs: ({ shape }, random) => ({
      x: random.uniform(shape, -3, -0.1),
      t: logTarget ? random.uniform(shape, -3, -0.1) : random.uniform(shape, 0.05, 1),
    }),
    forward: ({ x, t }, { reduction }) => ops.klDiv(x, t, { reduction, logTarget }),
    reference: ({ x, t }, options) =>
      reduced(x, options, (value, i) => {
        const target = t.data[i]!;
        return logTarget ? Math.exp(target) * (target - value) : target * (Math.log(target) - value);
      }),
    gradients: ['x', 't'],
    tolerance: ({ shape }) => shape.reduce((size, n) => size * n, 1),
  });
}

describeOp({
  name: 'cosineSimilarity',
  cases: edges(),
  inputs: (n, random) => ({ a: random.normal([3, n + 1]), b: random.normal([1, n + 1]) }),
  forward: ({ a, b }) => ops.cosineSimilarity(a, b),
  reference({ a, b }) {
    const cols = b.data.length;
    const dot = (x: Float64Array, y: Float64Array) => sum(x, (value, i) => value * y[i]!);
    return build([3], (r) => {
      const row = a.data.slice(r * cols, (r + 1) * cols);
      return dot(row, b.data) / Math.sqrt(dot(row, row) * dot(b.data, b.data));
    });
  },
  gradients: ['a', 'b'],
  tolerance: (n) => 3 * (n + 1),
});

describe('losses', () => {
  it('avoid cancellation: the loss of a confident, right logit is small, but not 0', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const losses = ops.bceWithLogits(device.tensor([-30, 30]), device.tensor([0, 1]), { reduction: 'none' });
    for (const loss of await losses.data()) expect(Math.abs(loss / Math.exp(-30) - 1)).toBeLessThan(1e-6);
  });

  it('give loss 0 for a target of probability 0', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const x = device.tensor([-1, -2], [1, 2]);
    const t = device.tensor([0, 1], [1, 2]);
    expect(await ops.klDiv(x, t, { reduction: 'batchmean' }).item()).toBe(2);
  });

  it('refuse shapes and options that do not fit', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const [x, y] = [device.zeros([2, 3]), device.zeros([3])];
    expect(() => ops.mseLoss(x, y)).toThrow(ShapeError);
    expect(() => ops.mseLoss(x, y)).toThrow('mseLoss: target is [3], expected [2, 3]');
    expect(() => ops.l1Loss(x, x, { reduction: 'batchmean' as never })).toThrow('expected one of none, sum, mean');
    expect(() => ops.smoothL1Loss(x, x, { beta: -1 })).toThrow(
      'smoothL1Loss: beta is -1, expected a number, 0 or more',
    );
    expect(() => ops.bceWithLogits(x, x, { posWeight: device.zeros([4, 1, 3]) })).toThrow(ShapeError);
    expect(() => ops.cosineSimilarity(x, y)).toThrow(ShapeError);
    expect(() => ops.cosineSimilarity(y, y)).toThrow('cosineSimilarity: axis 1 is not a dimension of [3]');
  });
});
