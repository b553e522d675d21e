// What ops let through at most, the engine can do: those limits are written down on both sides.
import { expect, it } from 'vitest';
import { ArgumentError, attention, ShapeError } from '../../src/index.js';
import { MAX_TOP_K, topKInto } from '../../src/ops/choose.js';
import { cacheReorder, MAX_CACHE_ROWS } from '../../src/ops/kv-cache.js';
import { deviceFor, isas } from '../describe-op.js';

const device = await deviceFor(isas[0]!, 1);

it('the best tokens of a row', async () => {
  const best = (k: number) => ({
    values: device.empty([1, 1, k]),
    ids: device.empty([1, 1, k], 'int32'),
    logSums: device.empty([1, 1, 2]),
  });
  const x = device.tensor(Float32Array.from({ length: MAX_TOP_K + 1 }, (_, i) => i)).reshape(1, -1);
  const most = best(MAX_TOP_K);
  topKInto(x, most);
  expect(await most.ids.data()).toEqual(Int32Array.from({ length: MAX_TOP_K }, (_, i) => MAX_TOP_K - i));
  expect(() => topKInto(x, best(MAX_TOP_K + 1))).toThrow(ArgumentError);
});

it('sequences that change places', async () => {
  const numbers = Int32Array.from({ length: MAX_CACHE_ROWS }, (_, row) => row);
  const cache = device.tensor(Float32Array.from(numbers), [MAX_CACHE_ROWS, 1, 1]);
  const backwards = numbers.toReversed();
  cacheReorder(cache, device.tensor(backwards), device.full([MAX_CACHE_ROWS], 1, 'int32'));
  expect(await cache.data()).toEqual(Float32Array.from(backwards));
  const more = device.zeros([MAX_CACHE_ROWS + 1, 1, 1]);
  const order = device.zeros([MAX_CACHE_ROWS + 1], 'int32');
  expect(() => cacheReorder(more, order, order)).toThrow(ArgumentError);
});

it('the width of a head, and distances', async () => {
  const head = (width: number) => device.full([1, 2, width], 0.5);
  const distances = (count: number) => device.zeros([1, count]);
  const [q, relativeBias] = [head(1024), distances(65537)];
  q.requiresGrad = true;
  const y = attention(q, q, q, { relativeBias });
  expect(await y.data()).toEqual(await q.data());
  y.backward(device.full(y.shape, 1));
  expect(await q.grad!.data()).toEqual(new Float32Array(2048).fill(1));
  expect(() => attention(head(1025), head(1025), head(1025))).toThrow(ShapeError);
  expect(() => attention(q, q, q, { relativeBias: distances(65539) })).toThrow(ArgumentError);
});
