// Attention of few queries has a kernel of its own, in which those of one item share what is read.

import { describe, expect, it } from 'vitest';
import { attention } from '../../src/ops/index.js';
import { deviceFor, isas } from '../describe-op.js';
import { Random } from '../random.js';

describe.each(isas)('attention of few queries, %s', (isa) => {
  it('gives each item the same result as without the others', async () => {
    const device = await deviceFor(isa, 2);
    const random = new Random('few queries');
    const heads = 3;
    for (const [width, valueWidth] of [
      [64, 64],
      [20, 7],
    ] as const) {
      for (const keys of [1, 15, 33, 70]) {
        const make = (rows: number, cols: number) =>
          device.tensor(random.normal([2, rows, cols]).data, [2, rows, cols]);
        const [q, k, v] = [make(5, heads * width), make(keys, heads * width), make(keys, heads * valueWidth)];
        const alone = [0, 1, 2, 3, 4].map((i) => {
          const rows = [0, 1].flatMap((b) =>
            Array.from(
              q
                .rows(b, b + 1)
                .reshape(5, -1)
                .rows(i, i + 1)
                .dataSync(),
            ),
          );
          return attention(device.tensor(rows, [2, 1, heads * width]), k, v, { heads }).dataSync();
        });
        for (const count of [2, 3, 4, 5]) {
          const rows = [0, 1].flatMap((b) =>
            Array.from(
              q
                .rows(b, b + 1)
                .reshape(5, -1)
                .rows(0, count)
                .dataSync(),
            ),
          );
          const together = attention(device.tensor(rows, [2, count, heads * width]), k, v, { heads }).dataSync();
          const cols = heads * valueWidth;
          together.forEach((value, at) => {
            const [b, i, c] = [Math.floor(at / (count * cols)), Math.floor(at / cols) % count, at % cols];
            expect(Math.abs(value - (alone[i]?.[b * cols + c] as number))).toBeLessThan(2e-6);
          });
        }
      }
    }
  });

  it('ignores distances that no key has', async () => {
    const device = await deviceFor(isa, 1);
    for (const far of [3e38, Infinity, Number.NaN]) {
      const [q, v] = [device.full([1, 4], 1), device.full([1, 4], 7)];
      const y = attention(q, q, v, { relativeBias: device.tensor([[0, 0, far]]) });
      expect([...y.dataSync()]).toEqual([7, 7, 7, 7]);
    }
  });
});
