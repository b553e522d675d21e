import { describe, expect, it } from 'vitest';
import * as ops from '../../src/ops/index.js';
import { describeOp, deviceFor, edges, isas } from '../describe-op.js';
import { build, type Reals } from '../reference/reals.js';

interface Case {
  readonly shape: readonly number[];
  readonly axis?: number | readonly number[];
  readonly keepDims?: boolean;
}

const lines: (Case & { readonly axis: number })[] = [
  ...edges().flatMap((n) => [
    { shape: [3, n], axis: 1 },
    { shape: [n, 3], axis: 0 },
    { shape: [3, n], axis: 0 },
  ]),
  { shape: [3, 5, 7], axis: -2, keepDims: true },
  { shape: [1300, 5], axis: 0 },
  { shape: [9000], axis: 0 },
];
const many: Case[] = [
  ...lines,
  { shape: [7, 5] },
  { shape: [] },
  { shape: [3, 5, 7], axis: [0, -1] },
  { shape: [2, 3, 4, 5], axis: [1, 2], keepDims: true },
  { shape: [2, 3, 2, 3, 2], axis: [3, 1] },
];

/** The elements of `x` that each result is made of, by their positions, and the result's shape. */
function groupsOf(x: Reals, { axis, keepDims = false }: Case): { shape: number[]; groups: number[][] } {
  const rank = x.shape.length;
  const axes = axis === undefined ? x.shape.map((_, d) => d) : [axis].flat().map((d) => (d + rank) % rank);
  const kept = x.shape.map((n, d) => (axes.includes(d) ? 1 : n));
  const groups = Array.from({ length: kept.reduce((size, n) => size * n, 1) }, (): number[] => []);
  for (let i = 0; i < x.data.length; i++) {
    let position = 0;
    let step = 1;
    for (let d = rank - 1, rest = i; d >= 0; d--) {
      position += axes.includes(d) ? 0 : (rest % x.shape[d]!) * step;
      step *= kept[d]!;
      rest = Math.floor(rest / x.shape[d]!);
    }
    groups[position]!.push(i);
  }
  return { shape: keepDims ? kept : x.shape.filter((_, d) => !axes.includes(d)), groups };
}

for (const [name, op, place] of [
  ['max', ops.max, ops.argmax],
  ['min', ops.min, ops.argmin],
] as const) {
  const best = (x: Reals, group: readonly number[]) => Math[name](...group.map((i) => x.data[i]!));
  describeOp({
    name,
    cases: many,
    // Few different values, so that many are equal.
    inputs: ({ shape }, random) => ({
      x: { shape, data: Float32Array.from(random.integers(shape, 9).data, (value) => value / 4 - 1) },
    }),
    forward: ({ x }, { axis, keepDims }) => op(x, { axis, keepDims }),
    reference: ({ x }, options) => {
      const { shape, groups } = groupsOf(x, options);
      return build(shape, (i) => best(x, groups[i]!));
    },
    gradients: ['x'],
    gradient({ x }, upstream, options) {
      const dx = new Float64Array(x.data.length);
      // Compares with an input that has not moved.
      const whole = { shape: x.shape, data: x.data.map((value) => Math.round(value * 4)) };
      for (const [k, group] of groupsOf(x, options).groups.entries()) {
        const max = best(whole, group);
        const ties = group.filter((i) => whole.data[i] === max);
        for (const i of ties) dx[i] = upstream[k]! / ties.length;
      }
      return { x: dx };
    },
  });

  describeOp({
    name: `arg${name}`,
    cases: lines,
    inputs: ({ shape }, random) => ({ x: { shape, data: Float32Array.from(random.integers(shape, 9).data) } }),
    forward: ({ x }, { axis, keepDims }) => place(x, { axis, keepDims }),
    reference: ({ x }, options) => {
      const whole = { shape: x.shape, data: x.data.map(Math.round) };
      const { shape, groups } = groupsOf(x, options);
      return build(shape, (i) => {
        const max = best(whole, groups[i]!);
        return groups[i]!.findIndex((at) => whole.data[at] === max);
      });
    },
  });
}

describeOp({
  name: 'cumsum',
  cases: lines,
  inputs: ({ shape }, random) => ({ x: random.normal(shape) }),
  forward: ({ x }, { axis }) => ops.cumsum(x, { axis }),
  reference({ x }, options) {
    const data = new Float64Array(x.data.length);
    for (const group of groupsOf(x, options).groups) {
      let total = 0;
      for (const i of group) data[i] = total += x.data[i]!;
    }
    return { shape: x.shape, data };
  },
  gradients: ['x'],
  gradient({ x }, upstream, options) {
    const dx = new Float64Array(x.data.length);
    for (const group of groupsOf(x, options).groups) {
      let total = 0;
      for (const i of [...group].reverse()) dx[i] = total += upstream[i]!;
    }
    return { x: dx };
  },
  tolerance: ({ shape }) => Math.max(...shape),
});

for (const largest of [true, false]) {
  const order = (x: Reals, group: readonly number[]) =>
    [...group].sort((a, b) => (largest ? x.data[b]! - x.data[a]! : x.data[a]! - x.data[b]!) || a - b);
  describeOp({
    name: largest ? 'topk' : 'topk of the least',
    cases: lines.flatMap((line) => {
      const size = line.shape.at(line.axis)!;
      return [...new Set([1, Math.ceil(size / 3), size])].map((k) => ({ ...line, keepDims: true, k }));
    }),
    inputs: ({ shape }, random) => ({ x: random.normal(shape) }),
    forward: ({ x }, { axis, k }) => ops.topk(x, k, { axis, largest }).values,
    reference: ({ x }, options) => {
      const { shape, groups } = groupsOf(x, options);
      const axis = (options.axis + shape.length) % shape.length;
      const inner = shape.slice(axis + 1).reduce((size, n) => size * n, 1);
      const sorted = groups.map((group) => order(x, group));
      const wide = shape.map((n, d) => (d === axis ? options.k : n));
      return build(wide, (i) => {
        const [outer, place, column] = [
          Math.floor(i / (options.k * inner)),
          Math.floor(i / inner) % options.k,
          i % inner,
        ];
        return x.data[sorted[outer * inner + column]![place]!]!;
      });
    },
    gradients: ['x'],
    gradient({ x }, upstream, options) {
      const { shape, groups } = groupsOf(x, options);
      const axis = (options.axis + shape.length) % shape.length;
      const inner = shape.slice(axis + 1).reduce((size, n) => size * n, 1);
      const dx = new Float64Array(x.data.length);
      for (const [line, group] of groups.entries()) {
        for (const [place, i] of order(x, group).slice(0, options.k).entries())
          dx[i] = upstream[Math.floor(line / inner) * options.k * inner + place * inner + (line % inner)]!;
      }
      return { x: dx };
    },
  });
}

describe.each(isas)('%s', (isa) => {
  const nan = Number.NaN;
  const rows = [1, nan, 3, 3, 2, 5, 5, -1, -Infinity, -Infinity, -Infinity, -Infinity];

  it('finds indices, the first of equal values, and NaN before all', async () => {
    const device = await deviceFor(isa, 1);
    const x = device.tensor(rows, [3, 4]);
    expect([...(await ops.argmax(x, { axis: 1 }).data())]).toEqual([1, 1, 0]);
    expect([...(await ops.argmin(x, { axis: 1 }).data())]).toEqual([1, 3, 0]);
    expect([...(await ops.argmax(x, { axis: 0 }).data())]).toEqual([1, 0, 1, 0]);
    expect([...(await ops.max(x, { axis: 1 }).data())]).toEqual([nan, 5, -Infinity]);
    expect([...(await ops.min(x, { axis: 0 }).data())]).toEqual([-Infinity, nan, -Infinity, -Infinity]);
    expect(await ops.argmax(x).item()).toBe(1);
  });

  it('topk returns the indices of its values, with NaN as the greatest', async () => {
    const device = await deviceFor(isa, 1);
    const x = device.tensor(rows, [3, 4]);
    const best = ops.topk(x, 2);
    expect([...(await best.values.data())]).toEqual([nan, 3, 5, 5, -Infinity, -Infinity]);
    expect([...(await best.indices.data())]).toEqual([1, 2, 1, 2, 0, 1]);
    const min = ops.topk(x, 4, { largest: false, axis: 1 });
    expect([...(await min.indices.data())]).toEqual([0, 2, 3, 1, 3, 0, 1, 2, 0, 1, 2, 3]);
  });
});

it('refuses axes and sizes that do not exist', async () => {
  const device = await deviceFor(isas[0]!, 1);
  const x = device.zeros([2, 3]);
  expect(() => ops.topk(x, 4)).toThrow('topk: k is 4, expected an integer from 1 to 3');
  expect(() => ops.topk(x, 0)).toThrow('topk: k is 0, expected');
  expect(() => ops.cumsum(x, { axis: 2 })).toThrow('cumsum: axis 2 is not a dimension of [2, 3]');
  expect(() => ops.argmax(x, { axis: [0] as never })).toThrow('argmax: axis is an array, expected an integer');
  expect(() => ops.max(x, { axis: [0, -2] })).toThrow('max: axis [0, 0] names a dimension twice');
  expect(() => ops.max(device.zeros([2], 'int32'))).toThrow('max: x is int32, expected float32');
});
