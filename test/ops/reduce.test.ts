import { describe, expect, it } from 'vitest';
import { mean, sum } from '../../src/ops/index.js';
import { describeOp, deviceFor, edges, isas } from '../describe-op.js';
import type { Reals } from '../reference/reals.js';

interface Case {
  readonly shape: readonly number[];
  readonly axis?: number | readonly number[];
  readonly keepDims?: boolean;
}

const cases: Case[] = [
  ...edges().flatMap((n): Case[] => [
    { shape: [3, n], axis: 1 },
    { shape: [n, 3], axis: 0 },
    { shape: [3, n], axis: 0 },
  ]),
  { shape: [7] },
  { shape: [] },
  { shape: [3, 5, 7], axis: 1, keepDims: true },
  { shape: [3, 5, 7], axis: [0, -1] },
  { shape: [2, 3, 2, 3, 2, 3], axis: [1, 3, 5], keepDims: true },
  { shape: [2, 3, 2, 3, 2, 3], axis: [0, 2, 4] },
  { shape: [1300, 5], axis: 0 },
  { shape: [4, 1300, 3], axis: 1 },
  { shape: [17000] },
];

describeOp({
  name: 'sum',
  cases,
  inputs: ({ shape }, random) => ({ x: random.normal(shape) }),
  forward: ({ x }, { axis, keepDims }) => sum(x, { axis, keepDims }),
  reference: ({ x }, options) => reduce(x, options).output,
  gradients: ['x'],
  gradient: ({ x }, upstream, options) => ({ x: reduce(x, options).positions.map((i) => upstream[i]!) }),
  tolerance: ({ shape }) => shape.reduce((size, n) => size * n, 1),
});

describeOp({
  name: 'mean',
  cases,
  inputs: ({ shape }, random) => ({ x: random.normal(shape) }),
  forward: ({ x }, { axis, keepDims }) => mean(x, { axis, keepDims }),
  reference({ x }, options) {
    const { output } = reduce(x, options);
    const count = x.data.length / output.data.length;
    return { shape: output.shape, data: output.data.map((total) => total / count) };
  },
  gradients: ['x'],
  gradient({ x }, upstream, options) {
    const { output, positions } = reduce(x, options);
    return { x: positions.map((i) => (upstream[i]! * output.data.length) / x.data.length) };
  },
  tolerance: ({ shape }) => shape.reduce((size, n) => size * n, 1),
});

/** The sums, and for each element of x the position of the sum it is in. */
function reduce(x: Reals, { axis, keepDims = false }: Case): { output: Reals; positions: Float64Array } {
  const rank = x.shape.length;
  const axes = axis === undefined ? x.shape.map((_, d) => d) : [axis].flat().map((d) => (d + rank) % rank);
  const kept = x.shape.map((n, d) => (axes.includes(d) ? 1 : n));
  const positions = x.data.map((_, i) => {
    let position = 0;
    let step = 1;
    for (let d = rank - 1, rest = i; d >= 0; d--) {
      position += axes.includes(d) ? 0 : (rest % x.shape[d]!) * step;
      step *= kept[d]!;
      rest = Math.floor(rest / x.shape[d]!);
    }
    return position;
  });
  const data = new Float64Array(kept.reduce((size, n) => size * n, 1));
  x.data.forEach((value, i) => {
    data[positions[i]!]! += value;
  });
  return { output: { shape: keepDims ? kept : x.shape.filter((_, d) => !axes.includes(d)), data }, positions };
}

describe('sum', () => {
  // Equal terms all round the same way: added one after the other they would be 1% off.
  it('keeps its precision over a million equal terms', async () => {
    for (const isa of isas) {
      const device = await deviceFor(isa, 2);
      const x = device.full([1 << 20], 0.1);
      expect(Math.abs((await sum(x).item()) / ((1 << 20) * Math.fround(0.1)) - 1)).toBeLessThan(1e-6);
      x.dispose();
    }
  });

  it('keeps it in columns, too', async () => {
    for (const isa of isas) {
      const device = await deviceFor(isa, 2);
      const x = device.full([1 << 20, 2], 0.1);
      for (const column of await mean(x, { axis: 0 }).data())
        expect(Math.abs(column / Math.fround(0.1) - 1)).toBeLessThan(5e-6);
      x.dispose();
    }
  });

  it('refuses a missing or duplicate axis', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const x = device.zeros([2, 3]);
    expect(() => sum(x, { axis: 2 })).toThrow('sum: axis 2 is not a dimension of [2, 3]');
    expect(() => mean(x, { axis: [0, -2] })).toThrow('mean: axis [0, 0] names a dimension twice');
  });

  it('names the called op if there are more dimensions than a kernel supports', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const x = device.zeros([2, 2, 2, 2, 2, 2, 2]);
    expect(() => mean(x, { axis: [0, 2, 4, 6] })).toThrow('mean: more than 6 dimensions ([2, 2, 2, 2, 2, 2, 2])');
  });
});
