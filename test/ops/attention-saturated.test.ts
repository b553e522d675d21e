// Scores so large that each query attends to one key alone: its probability is 1 and those of the others are 0. In
// float64, no score then has a gradient, and each key's value gets the gradients of its queries unchanged.
import { describe, expect, it } from 'vitest';
import { attention } from '../../src/ops/index.js';
import { deviceFor, isas } from '../describe-op.js';
import { Random } from '../random.js';

const FEATURES = 16;
const HEADS = 2;

/** Shape [count, HEADS · FEATURES]: vectors of length 850 in directions that differ, so that scores of pairs are far below those of equals. */
function directions(count: number): Float32Array {
  const angle = (row: number, pair: number) => (2 * Math.PI * row * (pair + 1)) / count;
  return Float32Array.from({ length: count * HEADS * FEATURES }, (_, i) => {
    const [row, feature] = [Math.floor(i / (HEADS * FEATURES)), i % FEATURES];
    return 300 * (feature % 2 ? Math.sin : Math.cos)(angle(row, feature >> 1));
  });
}

describe.each(isas)('gradients of saturated attention on %s', (isa) => {
  it.each([1, 2, 4, 7, 65, 200])('%i tokens', async (count) => {
    const device = await deviceFor(isa, 2);
    const random = new Random('saturated');
    const shape = [1, count, HEADS * FEATURES];
    const x = directions(count);
    const [q, k, v] = [x, x, random.normal(shape).data.map((value) => 4000 * value)].map((values) =>
      device.tensor(values, shape, { requiresGrad: true }),
    ) as [ReturnType<typeof device.tensor>, ReturnType<typeof device.tensor>, ReturnType<typeof device.tensor>];
    const dy = device.tensor(random.normal(shape).data, shape);
    for (const causal of [false, true]) {
      for (const each of [q, k, v]) each.zeroGrad();
      const y = attention(q, k, v, { heads: HEADS, causal });
      y.backward(dy);
      expect(await y.data()).toEqual(await v.data());
      expect(await v.grad?.data()).toEqual(await dy.data());
      for (const each of [q, k]) expect((await each.grad?.data())?.every((value) => value === 0)).toBe(true);
    }
  });
});
