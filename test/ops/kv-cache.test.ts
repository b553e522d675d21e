import { describe, expect, it } from 'vitest';
import { CommandError, DTypeError, ShapeError } from '../../src/index.js';
import { advance, cacheAppend, cacheFill, cacheReorder } from '../../src/ops/kv-cache.js';
import { deviceFor, edges, isas } from '../describe-op.js';
import { Random } from '../random.js';

const ints = (...values: number[]) => Int32Array.from(values);

describe.each(isas)('key-value cache, %s', (isa) => {
  it.each([...edges(), 300])('writes rows to their slots: %i columns', async (cols) => {
    const device = await deviceFor(isa, 2);
    const random = new Random('append');
    const cache = device.zeros([3, 4, cols]);
    const x = device.tensor(random.normal([3, cols + 5]).data, [3, cols + 5]).columns(2, cols + 2); // strided
    const positions = ints(3, 0, 2);
    cacheAppend(cache, x, device.tensor(positions));
    const expected = new Float32Array(3 * 4 * cols);
    positions.forEach((slot, row) => {
      expected.set(x.dataSync().subarray(row * cols, (row + 1) * cols) as Float32Array, (row * 4 + slot) * cols);
    });
    expect(await cache.data()).toEqual(expected);
  });

  it.each([...edges(), 300])('reorders, copies and ends sequences: %i columns', async (cols) => {
    for (const threads of [1, 3]) {
      const device = await deviceFor(isa, threads);
      const random = new Random('reorder');
      const { data } = random.normal([5, 6, cols]);
      const cache = device.tensor(data, [5, 6, cols]);
      const [order, lengths] = [ints(1, 2, 0, 0, 4), ints(4, 4, 4, 4, 6)];
      cacheReorder(cache, device.tensor(order), device.tensor(lengths));
      const expected = data.slice();
      order.forEach((from, row) => {
        const count = lengths[row]! * cols;
        expected.set(data.subarray(from * 6 * cols, from * 6 * cols + count), row * 6 * cols);
      });
      expect(await cache.data()).toEqual(expected);
    }
  });

  it('accepts packed rows', async () => {
    const device = await deviceFor(isa, 2);
    const cache = device.full([2, 3, 2], 9);
    const x = device
      .tensor([
        [0, 1, 2, 0],
        [0, 3, 4, 0],
        [0, 5, 6, 0],
      ])
      .columns(1, 3); // prettier
    cacheFill(cache, x, device.tensor(ints(1, 2)));
    expect(await cache.data()).toEqual(Float32Array.of(1, 2, 0, 0, 0, 0, 3, 4, 5, 6, 0, 0));
  });

  it('counts', async () => {
    const device = await deviceFor(isa, 2);
    const x = device.tensor(ints(-1, 0, 2 ** 31 - 1));
    advance(x);
    expect(await x.data()).toEqual(ints(0, 1, -(2 ** 31)));
  });

  it('refuses bad shapes at the call, and bad numbers at the run', async () => {
    const device = await deviceFor(isa, 2);
    const cache = device.zeros([2, 3, 4]);
    const x = device.zeros([2, 4]);
    const positions = device.tensor(ints(0, 1));
    expect(() => cacheAppend(x, x, positions)).toThrow(ShapeError);
    expect(() => cacheAppend(cache, device.zeros([2, 5]), positions)).toThrow(ShapeError);
    expect(() => cacheAppend(cache, x, device.tensor([0, 1]))).toThrow(DTypeError);
    expect(() => cacheReorder(cache, positions, device.tensor(ints(1)))).toThrow(ShapeError);
    expect(() => cacheFill(cache, device.zeros([2, 3]), positions)).toThrow(ShapeError);
    expect(() => advance(x)).toThrow(DTypeError);
    for (const bad of [3, -1]) {
      cacheAppend(cache, x, device.tensor(ints(0, bad)));
      expect(() => device.flushSync()).toThrow(CommandError);
    }
    cacheReorder(cache, device.tensor(ints(0, 2)), device.tensor(ints(3, 3)));
    expect(() => device.flushSync()).toThrow(/^cacheReorder: row \d+ of order is -?\d+, expected 0 to \d+$/);
    expect(await cache.data()).toEqual(new Float32Array(24));
  });
});
