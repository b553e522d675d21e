// The engine supports the largest sizes that ops accept; it tells its limits itself.
import { expect, it } from 'vitest';
import { MAX_THREADS } from '../../src/backend/backend.js';
import { ArgumentError, DeviceError, ShapeError } from '../../src/index.js';
import { attention } from '../../src/ops/index.js';
import { cacheReorder, maxCacheRows } from '../../src/ops/kv-cache.js';
import { maxTopK, topKInto } from '../../src/ops/top-k.js';
import { deviceFor, isas } from '../describe-op.js';

const device = await deviceFor(isas[0]!, 1);
const [MAX_TOP_K, MAX_CACHE_ROWS] = [maxTopK(device), maxCacheRows(device)];

it('constants equal those of the loaded engine, in every instruction set', async () => {
  for (const isa of isas) {
    const other = await deviceFor(isa, 1);
    for (const name of ['engine.maxThreads', 'broadcast.rank', 'activation.gelu_tanh', 'attentionBackward.blockKeys'])
      expect(other.constant(name)).toBe(device.constant(name));
  }
  expect(device.constant('engine.maxThreads')).toBe(MAX_THREADS);
  expect(device.constant('activation.none')).toBe(0); // the activation of a plain product
  expect(() => device.constant('newest')).toThrow(DeviceError);
  expect(() => device.constant('newest')).toThrow(/no constant 'newest'.* rebuild it/);
});

it('limits the number of best tokens of a row', async () => {
  const best = (k: number) => ({
    values: device.empty([1, 1, k]),
    ids: device.empty([1, 1, k], 'int32'),
    logSums: device.empty([1, 1, 2]),
  });
  const x = device.tensor(Float32Array.from({ length: MAX_TOP_K + 1 }, (_, i) => i)).reshape(1, -1);
  const max = best(MAX_TOP_K);
  topKInto(x, max);
  expect(await max.ids.data()).toEqual(Int32Array.from({ length: MAX_TOP_K }, (_, i) => MAX_TOP_K - i));
  expect(() => topKInto(x, best(MAX_TOP_K + 1))).toThrow(ArgumentError);
});

it('limits the number of reordered sequences', async () => {
  const numbers = Int32Array.from({ length: MAX_CACHE_ROWS }, (_, row) => row);
  const cache = device.tensor(Float32Array.from(numbers), [MAX_CACHE_ROWS, 1, 1]);
  const backwards = numbers.toReversed();
  cacheReorder(cache, device.tensor(backwards), device.full([MAX_CACHE_ROWS], 1, 'int32'));
  expect(await cache.data()).toEqual(Float32Array.from(backwards));
  const more = device.zeros([MAX_CACHE_ROWS + 1, 1, 1]);
  const order = device.zeros([MAX_CACHE_ROWS + 1], 'int32');
  expect(() => cacheReorder(more, order, order)).toThrow(ArgumentError);
});

it('limits the width of a head, and distances', async () => {
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
