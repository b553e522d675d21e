import { describe, expect, it } from 'vitest';
import { CommandError, createDevice, ShapeError } from '../../src/index.js';
import { groupedLinear, groupRows } from '../../src/ops/index.js';
import { describeOp, deviceFor, isas } from '../describe-op.js';
import { build } from '../reference/reals.js';

/** The group of each row, by how many rows the groups have. */
const groupsOf = (sizes: readonly number[]) => sizes.flatMap((size, group) => Array<number>(size).fill(group));
const offsetsOf = (sizes: readonly number[]) => {
  let end = 0;
  return Int32Array.from([0, ...sizes.map((size) => (end += size))]);
};

describeOp({
  name: 'groupedLinear',
  cases: [
    { sizes: [1], depth: 1, cols: 1 },
    { sizes: [0, 3, 1, 0], depth: 17, cols: 5 },
    { sizes: [2, 2, 2], depth: 33, cols: 40 },
    { sizes: [70, 0, 1], depth: 24, cols: 48 },
    { sizes: [1, 0, 1, 1, 0, 0, 1], depth: 64, cols: 96 },
    { sizes: [330, 5], depth: 9, cols: 20 },
    { sizes: [4, 9], depth: 12, cols: 530 },
  ],
  inputs: ({ sizes, depth, cols }, random) => ({
    x: random.normal([groupsOf(sizes).length, depth]),
    w: random.normal([depth, sizes.length * cols]),
    offsets: { shape: [sizes.length + 1], data: offsetsOf(sizes) },
  }),
  forward: ({ x, w, offsets }) => groupedLinear(x, w, offsets),
  reference({ x, w }, { sizes, depth, cols }) {
    const groups = groupsOf(sizes);
    return build([groups.length, cols], (i) => {
      const [row, col] = [Math.floor(i / cols), i % cols];
      const first = groups[row]! * cols + col;
      let total = 0;
      for (let k = 0; k < depth; k++) total += x.data[row * depth + k]! * w.data[k * sizes.length * cols + first]!;
      return total;
    });
  },
  gradients: ['x', 'w'],
  tolerance: ({ sizes, depth, cols }) => Math.max(depth, cols, ...sizes),
});

describe.each(isas)('%s', (isa) => {
  it('sorts rows by group, and keeps their order within a group', async () => {
    const device = await deviceFor(isa, 2);
    const ids = Int32Array.from({ length: 500 }, (_, i) => (i * 7919) % 13);
    const sorted = [...ids.keys()].sort((a, b) => ids[a]! - ids[b]! || a - b);
    const starts = Array.from({ length: 15 }, (_, group) => ids.filter((id) => id < group).length);
    for (const [shape, perRow] of [
      [[500], 1],
      [[125, 4], 4],
    ] as const) {
      const { rows, inverse: places, offsets } = groupRows(device.tensor(ids, shape), 14);
      expect([...rows.dataSync()]).toEqual(sorted.map((id) => Math.floor(id / perRow)));
      expect([...places.dataSync()]).toEqual([...ids.keys()].map((id) => sorted.indexOf(id)));
      expect([...offsets.dataSync()]).toEqual(starts);
    }
  });

  it('refuses shapes, dtypes and options that do not fit', async () => {
    const device = await createDevice({ isa, threads: 2 });
    const [x, w] = [device.zeros([4, 3]), device.zeros([3, 10])];
    const offsets = device.tensor(Int32Array.of(0, 1, 4));
    expect(() => groupedLinear(x, device.zeros([4, 10]), offsets)).toThrow(ShapeError);
    expect(() => groupedLinear(x, device.zeros([3, 9]), offsets)).toThrow(
      'groupedLinear: x is [4, 3], w is [3, 9], offsets is [3], expected [rows, depth], [depth, groups · cols]',
    );
    for (const wrong of [
      [0, 5, 4],
      [0, -1, 4],
      [0, 2, 5],
    ]) {
      const y = groupedLinear(x, w, device.tensor(Int32Array.from(wrong)));
      await expect(y.data()).rejects.toThrow(CommandError);
    }
    const { rows } = groupRows(device.tensor(Int32Array.of(0, 2)), 2);
    await expect(rows.data()).rejects.toThrow('ids is 2, expected 0 to 1');
    device.dispose();
  });
});
