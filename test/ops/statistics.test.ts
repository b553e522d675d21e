import { expect, it } from 'vitest';
import * as ops from '../../src/ops/index.js';
import { describeOp, deviceFor, edges, isas } from '../describe-op.js';
import { build, type Reals, sum } from '../reference/reals.js';

interface Case {
  readonly rows: number;
  readonly cols: number;
  /** 1: over the columns, 0: over the rows; all otherwise. */
  readonly axis?: 0 | 1;
}

const cases: Case[] = [
  ...edges().flatMap((n): Case[] => [
    { rows: 3, cols: n + 2, axis: 1 },
    { rows: n + 2, cols: 3, axis: 0 },
  ]),
  { rows: 5, cols: 7 },
  { rows: 2, cols: 3000, axis: 1 },
];

/** f of each row, each column or all of a matrix. */
function over(x: Reals, { rows, cols, axis }: Case, f: (values: number[]) => number): Reals {
  const all = [...x.data];
  if (axis === undefined) return build([], () => f(all));
  if (axis === 1) return build([rows], (r) => f(all.slice(r * cols, (r + 1) * cols)));
  return build([cols], (c) => f(all.filter((_, i) => i % cols === c)));
}

function varianceOf(values: readonly number[], correction: number): number {
  const mean = sum(values) / values.length;
  return sum(values, (value) => (value - mean) ** 2) / (values.length - correction);
}

const functions = {
  'norm 1': [(x, { axis }) => ops.norm(x, { ord: 1, axis }), (v) => sum(v, Math.abs)],
  norm: [(x, { axis }) => ops.norm(x, { axis }), (v) => Math.hypot(...v)],
  'norm inf': [(x, { axis }) => ops.norm(x, { ord: Infinity, axis }), (v) => Math.max(...v.map(Math.abs))],
  variance: [(x, { axis }) => ops.variance(x, { axis }), (v) => varianceOf(v, 1)],
  'variance of a population': [(x, { axis }) => ops.variance(x, { axis, correction: 0 }), (v) => varianceOf(v, 0)],
  std: [(x, { axis }) => ops.std(x, { axis }), (v) => Math.sqrt(varianceOf(v, 1))],
} as const satisfies Record<
  string,
  readonly [(x: Parameters<typeof ops.norm>[0], c: Case) => unknown, (v: number[]) => number]
>;

for (const [name, [op, f]] of Object.entries(functions)) {
  describeOp({
    name,
    cases,
    inputs: ({ rows, cols }, random) => ({ x: random.normal([rows, cols]) }),
    forward: ({ x }, options) => op(x, options),
    reference: ({ x }, options) => over(x, options, f),
    gradients: ['x'],
    tolerance: ({ rows, cols }) => rows * cols,
  });
}

it('keeps reduced dimensions on request, and refuses other orders', async () => {
  const device = await deviceFor(isas[0]!, 1);
  const x = device.tensor([3, 4, 6, 8], [2, 2]);
  const kept = ops.norm(x, { axis: 1, keepDims: true });
  expect([kept.shape, [...(await kept.data())]]).toEqual([
    [2, 1],
    [5, 10],
  ]);
  expect(ops.std(x, { axis: [0, 1], keepDims: true }).shape).toEqual([1, 1]);
  expect(() => ops.norm(x, { ord: 3 as never })).toThrow('norm: ord is 3, expected one of 1, 2, Infinity');
  expect(() => ops.std(x, { unbiased: false } as never)).toThrow('std: there is no option unbiased');
  expect(await ops.variance(device.tensor([2])).item()).toBeNaN();
});
