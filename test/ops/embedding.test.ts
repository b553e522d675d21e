import { describe, expect, it } from 'vitest';
import { CommandError } from '../../src/index.js';
import { embedding } from '../../src/ops/index.js';
import { computedIds } from '../computed-ids.js';
import { describeOp, deviceFor, edges, isas } from '../describe-op.js';
import { elementwise } from '../reference/reals.js';
import { embedding as reference } from '../reference/tokens.js';

describeOp({
  name: 'embedding',
  cases: [
    ...edges().map((d) => ({ vocabulary: 7, d, ids: [2, 5], scale: 1 })),
    { vocabulary: 1, d: 4, ids: [], scale: 1 },
    { vocabulary: 1030, d: 3, ids: [40], scale: Math.sqrt(3) }, // more rows than a block of the table has
    { vocabulary: 6, d: 300, ids: [9], scale: 1 }, // more columns
    { vocabulary: 3, d: 8, ids: [3, 700], scale: -0.5 }, // long sums
  ],
  inputs: ({ vocabulary, d, ids }, random) => ({
    table: random.normal([vocabulary, d]),
    ids: random.integers(ids, vocabulary),
  }),
  forward: ({ table, ids }, { scale }) => embedding(table, ids, { scale }),
  reference: ({ table, ids }, { scale }) => reference(table, ids, scale),
  gradients: ['table'],
  gradient({ table, ids }, upstream, { d, scale }) {
    const sums = new Float64Array(table.data.length);
    upstream.forEach((dy, i) => {
      sums[ids.data[Math.floor(i / d)]! * d + (i % d)]! += scale * dy;
    });
    return { table: sums };
  },
  tolerance: ({ ids }) => ids.reduce((size, n) => size * n, 1),
});

describeOp({
  name: 'embedding with positions',
  cases: edges().map((d) => ({ d })),
  inputs: ({ d }, random) => ({
    table: random.normal([5, d]),
    ids: random.integers([3, 4], 5),
    positions: random.normal([4, d]),
    positionIds: random.integers([3, 4], 4),
  }),
  forward: ({ table, ids, positions, positionIds }) => embedding(table, ids, { scale: 3, positions, positionIds }),
  reference: ({ table, ids, positions, positionIds }) =>
    elementwise(reference(table, ids, 3), reference(positions, positionIds), (a, b) => a + b),
  gradients: ['table', 'positions'],
  tolerance: () => 12,
});

describe('embedding', () => {
  it('gives the padding row no gradient', async () => {
    for (const isa of isas) {
      const device = await deviceFor(isa, 2);
      const table = device.full([3, 2], 1);
      table.requiresGrad = true;
      const y = embedding(table, device.tensor(Int32Array.of(1, 0, 1, 2), [2, 2]), { paddingId: 1, scale: 3 });
      expect([...(await y.data())]).toEqual(Array(8).fill(3));
      y.backward(
        device.tensor(
          Float32Array.from({ length: 8 }, (_, i) => i),
          [2, 2, 2],
        ),
      );
      expect([...((await table.grad?.data()) ?? [])]).toEqual([6, 9, 0, 0, 18, 21]);
    }
  });

  it('refuses an id outside its table that the host wrote, also through a view', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const [table, ids] = [device.full([3, 4], 1), device.tensor(Int32Array.of(3, 2, 1, -1), [2, 2])];
    const others = embedding(table, ids.reshape(4).rows(1, 3));
    expect(() => embedding(table, ids)).toThrow('embedding: row 0 of ids is 3, expected 0 to 2');
    expect(() => embedding(table, ids.rows(1, 2))).toThrow('embedding: row 1 of ids is -1, expected 0 to 2');
    const options = { positions: table, positionIds: ids.reshape(4).rows(0, 1) };
    const wrong = 'embedding: row 0 of positionIds is 3, expected 0 to 2';
    expect(() => embedding(table, device.tensor(Int32Array.of(0)), options)).toThrow(wrong);
    expect(await others.data()).toEqual(new Float32Array(8).fill(1));
  });

  it('a computed id outside its table fails the run, gives a row of zeros, and the device stays usable', async () => {
    for (const isa of isas) {
      const device = await deviceFor(isa, 2);
      const table = device.full([3, 4], 1, 'float32');
      table.requiresGrad = true;
      for (const bad of [3, -1, 2 ** 31 - 1, -(2 ** 31)]) {
        const y = embedding(table, computedIds(device, 2, bad));
        await expect(y.data()).rejects.toThrow(CommandError);
        expect([...(await y.data())]).toEqual([1, 1, 1, 1, 0, 0, 0, 0]);
      }
      const positions = device.full([2, 4], 1);
      const options = { positions, positionIds: computedIds(device, 2) };
      const y = embedding(table, device.tensor(Int32Array.of(0)), options);
      await expect(y.data()).rejects.toThrow(/^embedding: row \d+ of positionIds is -?\d+, expected 0 to \d+$/);
    }
  });

  it('ignores gradients of ids outside the table', async () => {
    const device = await deviceFor(isas[0]!, 2);
    const table = device.tensor([[1], [2]], undefined, { requiresGrad: true });
    const ids = computedIds(device, 1, 5, 1);
    embedding(table, ids).backward([[1], [10], [100]]);
    await expect(device.flush()).rejects.toThrow(/^embedding: row \d+ of ids is -?\d+, expected 0 to \d+$/);
    expect([...table.grad!.dataSync()]).toEqual([0, 101]);
  });

  it('null means no positions, as for omitted options of other ops', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const table = device.tensor([[1, 2]]);
    expect(await embedding(table, device.zeros([1], 'int32'), { positions: null }).data()).toEqual(
      Float32Array.of(1, 2),
    );
  });

  it('refuses other dtypes and shapes', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const table = device.zeros([3, 4]);
    const ids = device.zeros([2], 'int32');
    expect(() => embedding(table, device.zeros([2]))).toThrow('embedding: ids is float32, expected int32');
    expect(() => embedding(device.zeros([3]), ids)).toThrow('embedding: table is [3], expected [rows, features]');
    expect(() => embedding(table, ids, { positions: table })).toThrow('come together');
    const positions = device.zeros([9, 5]);
    expect(() => embedding(table, ids, { positions, positionIds: ids })).toThrow(
      'positions is [9, 5], expected [9, 4]',
    );
  });
});
