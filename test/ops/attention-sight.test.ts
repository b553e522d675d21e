// Keys that a query sees by windows, offsets and masks, and the scores at each stage.

import { describe, expect, it } from 'vitest';
import { ArgumentError, DTypeError, ShapeError, type Tensor } from '../../src/index.js';
import { type AttentionOptions, attention, attentionWeights } from '../../src/ops/index.js';
import { deviceFor, isas } from '../describe-op.js';
import { Random, type Values } from '../random.js';
import { type Stage, attentionWeights as weightsReference } from '../reference/attention.js';
import type { Reals } from '../reference/reals.js';
import { allowedError, assertClose, largest } from '../tolerance.js';

const random = new Random('sight');
const widen = ({ shape, data }: Values): Reals => ({ shape, data: Float64Array.from(data) });

describe.each(isas)('attention on %s', (isa) => {
  it('a window gives the same results as a mask, over many blocks', async () => {
    const device = await deviceFor(isa, 2);
    const T = 1100;
    for (const [left, right] of [
      [100, 0],
      [3, 200],
    ] as const) {
      const values = [8, 4, 4, 8].map((width) => random.normal([1, T, width]));
      const mask = Int32Array.from({ length: T * T }, (_, at) => {
        const distance = (at % T) - Math.floor(at / T);
        return distance >= -left && distance <= right ? 1 : 0;
      });
      const masked = { mask: device.tensor(mask, [T, T]) };
      const results = [{ window: [left, right] } as const, masked].map((options) => {
        const [q, k, v, dy] = values.map(({ data, shape }) => device.tensor(data, shape)) as Tensor[];
        for (const x of [q, k, v]) x!.requiresGrad = true;
        const y = attention(q!, k!, v!, { heads: 2, kvHeads: 1, ...options });
        y.backward(dy);
        return [y, q!.grad!, k!.grad!, v!.grad!].map((x) => x.dataSync() as Float32Array);
      });
      const [seen, expected] = results as [Float32Array[], Float32Array[]];
      for (const [i, name] of ['y', 'dq', 'dk', 'dv'].entries()) {
        const size = largest(expected[i]!);
        assertClose(name, seen[i]!, expected[i]!, () => allowedError(left + right, size));
      }
    }
  });

  it('reads nothing far outside a window', async () => {
    const device = await deviceFor(isa, 2);
    const [T, far, near] = [2048, 1500, 1900];
    const poisoned = random.normal([1, T, 8]);
    poisoned.data.fill(Number.NaN, 0, far * 8);
    const kv = device.tensor(poisoned.data, poisoned.shape);
    const allFinite = (x: Float32Array) => x.every(Number.isFinite);
    for (const queries of [T, 1, 3]) {
      const q = device.tensor(random.normal([1, queries, 8]).data, [1, queries, 8], { requiresGrad: true });
      const y = attention(q, kv, kv, { causal: true, window: [64, -1] });
      y.backward(device.full(y.shape, 1));
      const from = Math.max(0, near - (T - queries)) * 8;
      expect(allFinite((y.dataSync() as Float32Array).subarray(from)), `${queries} queries`).toBe(true);
      expect(allFinite((q.grad!.dataSync() as Float32Array).subarray(from)), `${queries} gradients`).toBe(true);
    }
  });

  it('gives a query of a cache the same result as among all queries', async () => {
    const device = await deviceFor(isa, 1);
    const [T, heads, d] = [200, 2, 16];
    const make = (shape: number[]) => device.tensor(random.normal(shape).data, shape);
    const [q, k, v] = [make([1, T, heads * d]), make([1, T, heads * d]), make([1, T, heads * d])];
    const options: AttentionOptions = {
      heads,
      causal: true,
      window: [70, -1],
      softcap: 2,
      relativeBias: make([heads, 2 * 150 + 1]),
    };
    const all = attention(q, k, v, options).dataSync() as Float32Array;
    for (const [from, count] of [
      [150, 1],
      [150, 3],
      [0, 1],
      [64, 2],
    ] as const) {
      const end = from + count;
      const rows = q.reshape(T, -1).rows(from, end).reshape(1, count, -1);
      const lengthsK = [end];
      const y = attention(rows, k, v, { ...options, lengthsK }).dataSync() as Float32Array;
      const expected = all.subarray(from * heads * d, end * heads * d);
      assertClose(`queries from ${from}`, y, expected, () => allowedError(T, largest(expected)));
    }
  });

  it('gives the scores of each stage', async () => {
    const device = await deviceFor(isa, 1);
    const values = {
      q: random.normal([2, 5, 12]),
      k: random.normal([2, 140, 6]),
      bias: random.normal([2, 1, 1, 140]),
      relativeBias: random.normal([4, 9]),
      relativeKeys: random.normal([5, 3]),
    };
    const mask = random.integers([1, 4, 5, 1], 3);
    const sizes = {
      heads: 4,
      kvHeads: 2,
      causal: 'upper-left' as const,
      window: [3, -1] as const,
      softcap: 1.5,
      lengthsQ: [5, 4],
      lengthsK: [140, 3],
    };
    const tensor = ({ data, shape }: Values) => device.tensor(data, shape);
    const { q, k, ...tables } = values;
    const options = {
      ...sizes,
      mask: tensor(mask),
      ...Object.fromEntries(Object.entries(tables).map(([name, table]) => [name, tensor(table)])),
    };
    const wide = {
      ...sizes,
      mask,
      ...Object.fromEntries(Object.entries(tables).map(([name, table]) => [name, widen(table)])),
    };
    for (const stage of ['raw', 'capped', 'biased', 'softmax'] as Stage[]) {
      const expected = weightsReference(widen(q), widen(k), wide, stage).data;
      const actual = attentionWeights(tensor(q), tensor(k), { ...options, stage }).dataSync() as Float32Array;
      const hidden = (x: number) => x === Number.NEGATIVE_INFINITY;
      expect([...actual].map(hidden), stage).toEqual([...expected].map(hidden));
      const finite = (x: ArrayLike<number>) => Array.from(x, (value) => (hidden(value) ? 0 : value));
      assertClose(stage, finite(actual), finite(expected), () => allowedError(140, largest(finite(expected))));
    }
  });

  it('gives zeros and no gradient if a mask hides all keys', async () => {
    const device = await deviceFor(isa, 1);
    for (const queries of [1, 40]) {
      const q = device.tensor(random.normal([1, queries, 8]).data, [1, queries, 8], { requiresGrad: true });
      const y = attention(q, q, q, { mask: device.zeros([1, 1], 'int32'), softcap: 5 });
      y.backward(device.full(y.shape, 1));
      expect(await y.data()).toEqual(new Float32Array(queries * 8));
      expect(await q.grad!.data()).toEqual(new Float32Array(queries * 8));
    }
  });
});

describe('attention', () => {
  it('refuses invalid windows, soft caps and offsets', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const q = device.zeros([2, 3, 8]);
    const attend = (options: object) => () => attention(q, q, q, options);
    for (const window of [3, [1], [1, 2, 3], [-2, 0], [0.5, 1], ['1', 2], [2 ** 31, 0]]) {
      expect(attend({ window }), `${window}`).toThrow(ArgumentError);
    }
    for (const softcap of [0, -1, Number.NaN, Infinity, '2']) {
      expect(attend({ softcap }), `${softcap}`).toThrow(ArgumentError);
    }
    expect(attend({ causal: 'lower-left' })).toThrow('expected one of true, false, lower-right, upper-left');
    expect(attend({ causal: 'upper-left', offset: 1 })).toThrow(ArgumentError);
    expect(attend({ offset: 2 ** 31 })).toThrow(ArgumentError);
    expect(attend({ casual: true })).toThrow('there is no option casual');
    expect(attend({ stage: 'raw' })).toThrow('there is no option stage');
    expect(() => attentionWeights(q, q, { stage: 'soft' as never })).toThrow('expected one of raw, capped');
    expect(attend({ mask: device.zeros([3, 3]) })).toThrow(DTypeError);
    expect(attend({ bias: device.zeros([3, 3], 'int32') })).toThrow(DTypeError);
    for (const shape of [[], [2], [2, 3], [3, 2], [2, 3, 3], [3, 1, 3, 3], [1, 2, 1, 3, 3]]) {
      expect(attend({ mask: device.zeros(shape, 'int32') }), `${shape}`).toThrow(ShapeError);
      expect(attend({ bias: device.zeros(shape) }), `${shape}`).toThrow(ShapeError);
    }
  });
});
