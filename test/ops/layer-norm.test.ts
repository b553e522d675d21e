import { describe, expect, it } from 'vitest';
import { ShapeError, type Tensor } from '../../src/index.js';
import { add, addLayerNorm, concat, layerNorm, layerNormWithStats, mul, sum } from '../../src/ops/index.js';
import { describeOp, deviceFor, edges, isas } from '../describe-op.js';
import { type Random, sizeOf } from '../random.js';
import { layerNorm as reference } from '../reference/norm.js';
import { eachRow, elementwise, lastOf, type Reals, sum as sumOf } from '../reference/reals.js';

interface Sizes {
  readonly shape: readonly number[];
  readonly eps?: number;
  readonly scale?: number;
  readonly shift?: number;
  readonly axis?: number;
}

const sizes: Sizes[] = [
  ...edges().map((cols) => ({ shape: [3, cols] })),
  { shape: [1, 5000] },
  { shape: [2, 33, 20] }, // more rows than are summed into one partial gradient
  { shape: [5, 24], eps: 1e-12 },
  { shape: [5, 24], scale: 1e-3, shift: 10 },
];
const several: Sizes[] = [
  { shape: [3, 4, 5], axis: 1 },
  { shape: [2, 3, 2, 9], axis: -2 },
  { shape: [3, 40], axis: 0 },
  { shape: [40, 1, 7], axis: 1 },
];

/** The dimensions that are normalised together. */
const normalOf = ({ shape, axis = -1 }: Sizes) => shape.slice(axis);
/** `x` with these as one. */
const flat = ({ data }: Reals, given: Sizes): Reals => {
  const cols = sizeOf(normalOf(given));
  return { shape: [data.length / cols, cols], data };
};

function inputsOf(given: Sizes, random: Random) {
  const { shape, scale = 1, shift = 0 } = given;
  const x = random.normal(shape, scale);
  x.data.forEach((value, i) => {
    x.data[i] = value + shift;
  });
  return { x, gamma: random.normal(normalOf(given)), beta: random.normal(normalOf(given)) };
}

const plus = (a: Reals, b: Reals) => elementwise(a, b, (left, right) => left + right);

/** The gradient of nearly equal values is what is left of terms of size rstd·gamma·dy. */
function cancelling(s: Reals, { eps = 1e-5 }: Sizes): number {
  const rstd = eachRow(s, (row) => {
    const mean = sumOf(row) / row.length;
    const deviation = Math.sqrt(sumOf(row, (value) => (value - mean) ** 2) / row.length + eps);
    return row.map(() => (1 + Math.abs(mean)) / deviation);
  });
  return Math.max(...rstd.data);
}

describeOp({
  name: 'layerNorm',
  cases: [...sizes, ...several],
  inputs: inputsOf,
  forward: ({ x, gamma, beta }, { eps, axis }) => layerNorm(x, gamma, beta, { eps, axis }),
  reference: ({ x, gamma, beta }, given) => ({
    shape: x.shape,
    data: reference(flat(x, given), gamma, beta, given.eps).data,
  }),
  gradients: ['x', 'gamma', 'beta'],
  tolerance: (given) => Math.max(sizeOf(normalOf(given)), ...given.shape),
  cancelling: ({ x }, given) => cancelling(flat(x, given), given),
});

/** Mean and inverse deviation of each row. */
const measured = (x: Reals, eps = 1e-5) =>
  eachRow(x, (row) => {
    const mean = sumOf(row) / row.length;
    const variance = sumOf(row, (value) => (value - mean) ** 2) / row.length;
    return row.map((_, i) => (i === 0 ? mean : 1 / Math.sqrt(variance + eps)));
  });

describeOp({
  name: 'layerNormWithStats',
  cases: [{ shape: [3, 17] }, ...several],
  inputs: (given: Sizes, random) => ({ x: random.normal(given.shape) }),
  forward: ({ x }, { axis }) => {
    const { mean, rstd } = layerNormWithStats(x, null, null, { axis });
    return concat([mean.reshape(-1, 1), rstd.reshape(-1, 1)], 1);
  },
  reference({ x }, given) {
    const rows = measured(flat(x, given));
    const cols = lastOf(rows.shape);
    return { shape: [rows.shape[0]!, 2], data: rows.data.filter((_, i) => i % cols < 2) };
  },
  tolerance: (given) => sizeOf(normalOf(given)),
});

describeOp({
  name: 'layerNorm without gamma and beta',
  cases: [{ shape: [4, 19] }],
  inputs: ({ shape }: Sizes, random) => ({ x: random.normal(shape) }),
  forward: ({ x }) => layerNorm(x, null, null),
  reference: ({ x }) => reference(x, null, null),
  gradients: ['x'],
  tolerance: ({ shape }) => lastOf(shape),
});

describeOp({
  name: 'layerNorm of a sum',
  cases: sizes,
  inputs: (given: Sizes, random) => ({ ...inputsOf(given, random), residual: random.normal(given.shape) }),
  forward: ({ x, gamma, beta, residual }, { eps }) => layerNorm(x, gamma, beta, { eps, residual }),
  reference: ({ x, gamma, beta, residual }, { eps }) => reference(x, gamma, beta, eps, residual),
  gradients: ['x', 'gamma', 'beta', 'residual'],
  tolerance: ({ shape }) => Math.max(...shape),
  cancelling: ({ x, residual }, given) => cancelling(plus(x, residual), given),
});

describeOp({
  name: 'addLayerNorm, both results',
  cases: sizes,
  inputs: (given: Sizes, random) => ({ ...inputsOf(given, random), residual: random.normal(given.shape) }),
  forward({ x, gamma, beta, residual }, { eps }) {
    const { sum, normed } = addLayerNorm(x, residual, gamma, beta, { eps });
    return concat([sum, normed]);
  },
  reference({ x, gamma, beta, residual }, { shape, eps }) {
    const normed = reference(x, gamma, beta, eps, residual);
    const data = Float64Array.of(...plus(x, residual).data, ...normed.data);
    return { shape: [2 * shape[0]!, ...shape.slice(1)], data };
  },
  gradients: ['x', 'gamma', 'beta', 'residual'],
  tolerance: ({ shape }) => Math.max(...shape),
  cancelling: ({ x, residual }, given) => cancelling(plus(x, residual), given),
});

describe.each(isas)('layerNorm, %s', (isa) => {
  it('maps a constant row to beta, even with a tiny eps', async () => {
    const device = await deviceFor(isa, 1);
    const cols = 37;
    const beta = device.tensor(new Float32Array(cols).fill(0.5), [cols]);
    const x = device.tensor(new Float32Array(2 * cols).fill(0.1), [2, cols], { requiresGrad: true });
    const y = layerNorm(x, null, beta, { eps: 1e-12 });
    y.backward(device.full([2, cols], 1));
    expect(new Set(await y.data())).toEqual(new Set([0.5]));
    for (const gradient of await x.grad!.data()) expect(gradient).toBeCloseTo(0, 1);
  });

  it('gives NaN for a row whose sum of squares overflows float32, and for its gradients', async () => {
    const device = await deviceFor(isa, 1);
    const cols = 37;
    const values = Float32Array.from({ length: 2 * cols }, (_, i) => Math.sin(i) * (i < cols ? 1e20 : 1));
    const [x, residual, gamma] = [values, new Float32Array(2 * cols), new Float32Array(cols).fill(1)].map((data) =>
      device.tensor(data, data.length > cols ? [2, cols] : [cols], { requiresGrad: true }),
    );
    for (const given of [null, residual]) {
      x!.zeroGrad();
      const y = layerNorm(x!, gamma, null, { residual: given });
      y.backward(device.full([2, cols], 1));
      for (const tensor of [y, x!.grad!]) {
        const all = await tensor.data();
        expect([all.subarray(0, cols).every(Number.isNaN), all.subarray(cols).every(Number.isFinite)]).toEqual([
          true,
          true,
        ]);
      }
    }
    expect((await gamma!.grad!.data()).every(Number.isNaN)).toBe(true);
  });

  it('gives a row the same bits in a tensor of more than 32 MB', async () => {
    const device = await deviceFor(isa, 2);
    const [rows, cols, few] = [17_000, 517, 40];
    const values = Float32Array.from({ length: rows * cols }, (_, i) => Math.sin(i * 1.7));
    const x = device.tensor(values, [rows, cols]);
    const all = device.noGrad(() => [layerNorm(x, null, null), ...Object.values(addLayerNorm(x, x, null, null))]);
    for (const from of [0, rows - few]) {
      const part = x.rows(from, from + few);
      const alone = [layerNorm(part, null, null), ...Object.values(addLayerNorm(part, part, null, null))];
      for (const [i, expected] of alone.entries())
        expect(await all[i]!.rows(from, from + few).data()).toEqual(await expected.data());
    }
    for (const tensor of [x, ...all]) tensor.dispose();
  });

  it('gives only the gradients of the sum when only the sum is used', async () => {
    const device = await deviceFor(isa, 1);
    const [x, residual] = [1, 2].map((value) => device.tensor([[value, 3 * value]], [1, 2], { requiresGrad: true }));
    const { sum } = addLayerNorm(x!, residual!, null, null);
    sum.backward([[5, 7]]);
    expect([...(await x!.grad!.data())]).toEqual([5, 7]);
    expect([...(await residual!.grad!.data())]).toEqual([5, 7]);
  });

  it('adds both gradients when x is its own residual', async () => {
    const device = await deviceFor(isa, 1);
    const x = device.tensor([[1, 2, 4]], [1, 3], { requiresGrad: true });
    const twice = device.tensor([[2, 4, 8]], [1, 3], { requiresGrad: true });
    layerNorm(x, null, null, { residual: x }).backward([[1, -1, 2]]);
    layerNorm(twice, null, null).backward([[1, -1, 2]]);
    const expected = await twice.grad!.data();
    expect([...(await x.grad!.data())]).toEqual([...expected].map((gradient) => 2 * gradient));
  });

  const views: Record<string, [shape: number[], parts: (x: Tensor) => [Tensor, Tensor]]> = {
    'columns of one row': [[34], (x) => [x.columns(0, 32), x.columns(2, 34)]],
    'columns, the later ones first': [[34], (x) => [x.columns(2, 34), x.columns(0, 32)]],
    'rows, of several partial sums': [[150, 24], (x) => [x.rows(0, 140), x.rows(10, 150)]],
    'rows, the later ones first': [[150, 24], (x) => [x.rows(1, 150), x.rows(0, 149)]],
    'columns of several rows': [[5, 20], (x) => [x.columns(0, 16), x.columns(4, 20)]],
  };
  it.each(Object.entries(views))('adds the gradients of inputs that overlap: %s', async (_, [shape, parts]) => {
    const device = await deviceFor(isa, 2);
    const size = shape.reduce((a, b) => a * b);
    const x = device.tensor(
      Float32Array.from({ length: size }, (_, i) => Math.sin(i)),
      shape,
      { requiresGrad: true },
    );
    const gradient = (each: (part: Tensor) => Tensor) => {
      x.zeroGrad();
      const [a, b] = parts(x);
      const { sum: s, normed } = addLayerNorm(each(a), each(b));
      sum(mul(add(s, normed), a.detach())).backward();
      return [...x.grad!.dataSync()];
    };
    const [shared, apart] = [gradient((part) => part), gradient((part) => mul(part, 1))];
    for (const [i, value] of shared.entries()) expect(value).toBeCloseTo(apart[i]!, 5);
  });
});

describe('layerNorm', () => {
  it('names the op and the shapes that do not fit', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const x = device.zeros([2, 3]);
    expect(() => layerNorm(x, device.zeros([4]), null)).toThrow(
      new ShapeError('layerNorm: gamma is [4], expected [3]'),
    );
    expect(() => layerNorm(x, null, null, { residual: device.zeros([3]) })).toThrow(/residual is \[3\]/);
    expect(() => layerNorm(x, null, null, { eps: -1 })).toThrow(/eps is -1/);
  });
});

describe('layerNormWithStats', () => {
  it('gives the same result as layerNorm, and statistics that may be disposed of before the backward pass', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const values = Float32Array.from({ length: 60 }, (_, i) => Math.sin(i * i));
    const [x, other] = [0, 1].map(() => device.tensor(values, [5, 3, 4], { requiresGrad: true }));
    const { y, mean, rstd } = layerNormWithStats(x!, null, null, { axis: 1, eps: 0.1 });
    expect([mean.shape, rstd.shape]).toEqual([
      [5, 1, 1],
      [5, 1, 1],
    ]);
    expect(mean.requiresGrad || rstd.requiresGrad).toBe(false);
    mean.dispose();
    rstd.dispose();
    const expected = layerNorm(other!, null, null, { axis: 1, eps: 0.1 });
    expect(await y.data()).toEqual(await expected.data());
    const upstream = values.map((value) => value * value);
    y.backward(upstream);
    expected.backward(upstream);
    expect(await x!.grad!.data()).toEqual(await other!.grad!.data());
  });

  it('names the shapes and options that do not fit', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const [x, gamma] = [device.zeros([2, 3, 4]), device.zeros([4])];
    expect(() => layerNorm(x, gamma, null, { axis: 1 })).toThrow('layerNorm: gamma is [4], expected [3, 4]');
    expect(() => layerNormWithStats(x, gamma, null, { axis: 3 })).toThrow(
      'layerNormWithStats: axis 3 is not a dimension',
    );
    expect(() => layerNorm(x, gamma, null, { epsilon: 1 } as object)).toThrow('layerNorm: there is no option epsilon');
  });
});
