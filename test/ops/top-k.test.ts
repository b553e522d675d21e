import { describe, expect, it } from 'vitest';
import { ArgumentError, type Device, DTypeError, ShapeError } from '../../src/index.js';
import { advance } from '../../src/ops/kv-cache.js';
import { type BestTokens, takeTokens, topKInto } from '../../src/ops/top-k.js';
import { deviceFor, edges, isas } from '../describe-op.js';
import { Random } from '../random.js';

const ints = (...values: number[]) => Int32Array.from(values);

function bestFor(device: Device, slots: number, rows: number, k: number): BestTokens {
  return {
    values: device.full([slots, rows, k], 7),
    ids: device.full([slots, rows, k], 7, 'int32'),
    logSums: device.full([slots, rows, 2], 7),
  };
}

/** Values and ids of the k greatest, of equals the first. */
function sorted(row: Float32Array, k: number, never: readonly number[] = []): [number[], number[]] {
  const ids = [...row.keys()].filter((id) => !never.includes(id)).sort((a, b) => row[b]! - row[a]! || a - b);
  return [ids.slice(0, k).map((id) => row[id]!), ids.slice(0, k)];
}

function expectSum(logSums: Float32Array, at: number, row: Float32Array): void {
  const max = Math.max(...row);
  const expected = max + Math.log(row.reduce((sum, x) => sum + Math.exp(x - max), 0));
  expect(logSums[2 * at]! + logSums[2 * at + 1]!).toBeCloseTo(expected, 5);
}

describe.each(isas)('choosing tokens, %s', (isa) => {
  it.each([...edges(), 300, 10000])('finds the best of %i columns', async (cols) => {
    for (const threads of [1, 3]) {
      const device = await deviceFor(isa, threads);
      const k = Math.min(cols, 9);
      // Few different values: many are equal.
      const data = new Random('top').normal([3, cols + 2]).data.map((x) => Math.round(4 * x) / 4);
      const x = device.tensor(data, [3, cols + 2]).columns(1, cols + 1);
      const best = bestFor(device, 2, 3, k);
      topKInto(x, best, { slot: 1 });
      const [values, ids, logSums] = await Promise.all([best.values.data(), best.ids.data(), best.logSums.data()]);
      expect(values.slice(0, 3 * k)).toEqual(new Float32Array(3 * k).fill(7));
      for (let row = 0; row < 3; row++) {
        const own = data.subarray(row * (cols + 2) + 1, row * (cols + 2) + 1 + cols);
        const at = (3 + row) * k;
        expect([[...values.slice(at, at + k)], [...ids.slice(at, at + k)]]).toEqual(sorted(own, k));
        expectSum(logSums as Float32Array, 3 + row, own);
      }
    }
  });

  it('skips forbidden tokens and ids beyond the row', async () => {
    const device = await deviceFor(isa, 2);
    const data = Float32Array.of(1, 5, Number.NEGATIVE_INFINITY, 3, 5, 2);
    const best = bestFor(device, 1, 4, 4);
    topKInto(device.tensor(data, [1, 6]), best, { forbidden: device.tensor(ints(4, 0, 1)), forbiddenCount: 2 });
    expect([...(await best.values.data()).slice(0, 4)]).toEqual([5, 3, 2, Number.NEGATIVE_INFINITY]);
    expect([...(await best.ids.data()).slice(0, 4)]).toEqual([1, 3, 5, 0]);
    expectSum((await best.logSums.data()) as Float32Array, 0, data);
    topKInto(device.full([1, 6], Number.NaN), best);
    expect(Math.max(...(await best.ids.data()).slice(0, 4))).toBeLessThan(6);
    expect((await best.logSums.data())[1]).toBeNaN();
  });

  it('ends a run when all sequences are finished', async () => {
    const device = await deviceFor(isa, 3);
    const best = bestFor(device, 2, 3, 1);
    best.ids.write(ints(4, 5, 6, 9, 5, 9));
    const [tokens, finished, stops] = [ints(0, 0), ints(0, 0, 8), ints(5, 9)].map((data) => device.tensor(data));
    const after = device.zeros([1], 'int32');
    const look = async () => [[...(await tokens!.data())], [...(await finished!.data())], (await after.data())[0]];
    const count = () => advance(after);
    takeTokens(best, tokens!, finished!, { stops: stops! });
    count();
    expect(await look()).toEqual([[4, 5], [0, 1, 8], 1]);
    finished!.write(ints(0, 0, 0));
    best.ids.write(ints(9, 5, 6, 9, 5, 9));
    takeTokens(best, tokens!, finished!, { stops: stops! });
    count();
    expect(await look()).toEqual([[9, 5], [1, 1, 0], 1]);
    count(); // the next run is one of its own
    expect((await look())[2]).toBe(2);
  });

  it('refuses shapes, dtypes and options that do not fit', async () => {
    const device = await deviceFor(isa, 2);
    const best = bestFor(device, 1, 2, 3);
    const tokens = device.tensor(ints(0, 0));
    expect(() => topKInto(device.zeros([3, 4]), best)).toThrow(ShapeError);
    expect(() => topKInto(device.zeros([2, 2]), best)).toThrow(ArgumentError);
    expect(() => topKInto(tokens.reshape(1, 2), best)).toThrow(DTypeError);
    expect(() => topKInto(device.zeros([2, 4]), { ...best, logSums: best.values })).toThrow(ShapeError);
    expect(() => takeTokens(best, tokens, tokens)).toThrow(ArgumentError);
    const one = bestFor(device, 1, 2, 1);
    expect(() => takeTokens(one, device.tensor(ints(0, 0, 0)), tokens)).toThrow(ShapeError);
    expect(() => takeTokens(one, device.zeros([2]), tokens)).toThrow(DTypeError);
    topKInto(device.zeros([2, 4]), best, { slot: 1 });
    expect(() => device.flushSync()).toThrow('values or ids is too small');
  });
});
