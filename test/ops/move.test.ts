import { describe, expect, it } from 'vitest';
import { ArgumentError, CommandError, createDevice, ShapeError, type Tensor } from '../../src/index.js';
import {
  add,
  concat,
  dropout,
  gather,
  mul,
  pack,
  permute,
  slice,
  split,
  sum,
  transpose,
  unpack,
} from '../../src/ops/index.js';
import { computedIds } from '../computed-ids.js';
import { describeOp, deviceFor, edges, isas } from '../describe-op.js';
import { build, type Reals } from '../reference/reals.js';

/** The position in row-major order of an index. */
const positionOf = (shape: readonly number[], index: readonly number[]) =>
  shape.reduce((at, n, d) => at * n + index[d]!, 0);

/** An array of the shape whose value at an index is `f(index)`. */
function buildAt(shape: readonly number[], f: (index: number[]) => number): Reals {
  return build(shape, (i) => {
    const index: number[] = [];
    for (let d = shape.length - 1, rest = i; d >= 0; d--) {
      index.unshift(rest % shape[d]!);
      rest = Math.floor(rest / shape[d]!);
    }
    return f(index);
  });
}

const at = (x: Reals, index: readonly number[]) => x.data[positionOf(x.shape, index)]!;

describeOp({
  name: 'permute',
  cases: [
    ...edges().map((n) => ({ shape: [n, 35], axes: [1, 0] })),
    { shape: [2, 33, 3, 16], axes: [0, 2, 1, 3] }, // heads before time
    { shape: [2, 3, 16, 33], axes: [0, 1, 3, 2] },
    { shape: [2, 3, 2, 5, 2, 3], axes: [5, 0, 4, 1, 3, 2] },
    { shape: [4, 1, 5], axes: [2, 1, 0] },
    { shape: [3, 40], axes: [0, 1] },
    { shape: [300, 20], axes: [-1, -2] },
    { shape: [], axes: [] },
  ],
  inputs: ({ shape }, random) => ({ x: random.normal(shape) }),
  forward: ({ x }, { axes }) => permute(x, axes),
  reference({ x }, { axes }) {
    const order = axes.map((axis) => (axis + axes.length) % axes.length);
    return buildAt(
      order.map((d) => x.shape[d]!),
      (index) =>
        at(
          x,
          x.shape.map((_, d) => index[order.indexOf(d)]!),
        ),
    );
  },
  gradients: ['x'],
});

describeOp({
  name: 'transpose',
  cases: [{ axes: [] }, { axes: [0, 1] }],
  inputs: (_, random) => ({ x: random.normal([3, 20, 36]) }),
  forward: ({ x }, { axes: [a, b] }) => transpose(x, a, b),
  reference: ({ x }, { axes }) =>
    axes.length === 0
      ? buildAt([3, 36, 20], ([i, j, k]) => at(x, [i!, k!, j!]))
      : buildAt([20, 3, 36], ([i, j, k]) => at(x, [j!, i!, k!])),
  gradients: ['x'],
});

describeOp({
  name: 'concat',
  cases: [0, 1, 2, -1].flatMap((axis) => edges().map((n) => ({ axis, n }))),
  inputs({ axis, n }, random) {
    const shape = [2, 3, 5];
    return { x: random.normal(shape), y: random.normal(shape.with(axis, n)), z: random.normal(shape.with(axis, 2)) };
  },
  forward: ({ x, y, z }, { axis }) => concat([x, y, z], axis),
  reference({ x, y, z }, { axis, n }) {
    const d = (axis + 3) % 3;
    const first = x.shape[d]!;
    return buildAt(x.shape.with(d, first + n + 2), (index) => {
      const i = index[d]!;
      if (i < first) return at(x, index);
      return i < first + n ? at(y, index.with(d, i - first)) : at(z, index.with(d, i - first - n));
    });
  },
  gradients: ['x', 'y', 'z'],
});

describeOp({
  name: 'slice',
  cases: [0, 1, 2].flatMap((axis) =>
    [
      [0, 2],
      [1, 4],
      [2, 3],
      [0, 4],
    ].map(([start, end]) => ({ axis, start: start!, end: end! })),
  ),
  inputs: (_, random) => ({ x: random.normal([4, 4, 4]) }),
  forward: ({ x }, { axis, start, end }) => add(slice(x, axis, start, end), 0),
  reference: ({ x }, { axis, start, end }) =>
    buildAt(x.shape.with(axis, end - start), (index) => at(x, index.with(axis, index[axis]! + start))),
  gradients: ['x'],
});

describeOp({
  name: 'split, parts used apart',
  cases: [0, 1, 2].flatMap((axis) => [
    { axis, used: [0, 1, 2] },
    { axis, used: [1] },
    { axis, used: [2, 0] },
  ]),
  inputs: (_, random) => ({ x: random.normal([6, 6, 6]) }),
  forward({ x }, { axis, used }) {
    const parts = split(x, [1, 2, 3], axis);
    return concat(
      used.map((i) => add(parts[i]!, parts[i]!)),
      axis,
    );
  },
  reference({ x }, { axis, used }) {
    const positions = used.flatMap((i) => [[0], [1, 2], [3, 4, 5]][i]!);
    return buildAt(
      x.shape.with(axis, positions.length),
      (index) => 2 * at(x, index.with(axis, positions[index[axis]!]!)),
    );
  },
  gradients: ['x'],
  tolerance: () => 2,
});

describeOp({
  name: 'gather',
  cases: [[5], [5, 17], [5, 3, 4]].flatMap((shape) => [[6], [2, 40]].map((rows) => ({ shape, rows }))),
  inputs: ({ shape, rows }, random) => ({ x: random.normal(shape), rows: random.integers(rows, 5) }),
  forward: ({ x, rows }) => gather(x, rows),
  reference({ x, rows }) {
    const cols = x.data.length / 5;
    return build(
      [...rows.shape, ...x.shape.slice(1)],
      (i) => x.data[rows.data[Math.floor(i / cols)]! * cols + (i % cols)]!,
    );
  },
  gradients: ['x'],
  tolerance: () => 80,
});

const ragged = edges()
  .map((n) => ({ lengths: [2, 0, 5, 1, 5], rest: [n] }))
  .concat([
    { lengths: [5, 5], rest: [] },
    { lengths: [1], rest: [3, 4] },
  ]);

describeOp({
  name: 'pack',
  cases: ragged,
  inputs: ({ lengths, rest }, random) => ({ x: random.normal([lengths.length, 5, ...rest]) }),
  forward: ({ x }, { lengths }) => pack(x, lengths),
  reference: ({ x }, { lengths, rest }) => {
    const rows = lengths.flatMap((length, b) => Array.from({ length }, (_, t) => [b, t]));
    return buildAt([rows.length, ...rest], ([row, ...index]) => at(x, [...rows[row!]!, ...index]));
  },
  gradients: ['x'],
});

describeOp({
  name: 'unpack',
  cases: ragged,
  inputs: ({ lengths, rest }, random) => ({ x: random.normal([lengths.reduce((a, b) => a + b), ...rest]) }),
  forward: ({ x }, { lengths }) => unpack(x, x.device.tensor(Int32Array.from(lengths)), 5),
  reference: ({ x }, { lengths, rest }) =>
    buildAt([lengths.length, 5, ...rest], ([b, t, ...index]) => {
      const start = lengths.slice(0, b).reduce((total, length) => total + length, 0);
      return t! < lengths[b!]! ? at(x, [start + t!, ...index]) : 0;
    }),
  gradients: ['x'],
});

describe('rearranging ops', () => {
  const open = () => deviceFor(isas[0]!, 2);

  it('move integers', async () => {
    const device = await open();
    const x = device.tensor(Int32Array.of(1, -1, 0x7fc00001, 4, 5, 6), [2, 3]);
    expect([...transpose(x).dataSync()]).toEqual([1, 4, -1, 5, 0x7fc00001, 6]);
    expect([...concat([x, x], 1).dataSync()]).toEqual([1, -1, 0x7fc00001, 1, -1, 0x7fc00001, 4, 5, 6, 4, 5, 6]);
    expect([...pack(x, [3, 1]).dataSync()]).toEqual([1, -1, 0x7fc00001, 4]);
    expect([...gather(x, device.tensor(Int32Array.of(1))).dataSync()]).toEqual([4, 5, 6]);
  });

  it('free all memory except their results', async () => {
    const device = await createDevice({ threads: 1 });
    const x = device.zeros([4, 6, 2]);
    const rows = device.zeros([3], 'int32');
    const { used } = device.memory();
    const results = [permute(x, [2, 0, 1]), concat([x, x], 1), slice(x, 1, 2, 4), gather(x, rows), sum(x, { axis: 1 })];
    results.push(pack(x, [1, 2, 3, 4]), unpack(slice(x, 0, 0, 3), [1, 2], 2), dropout(x, { p: 0.5, seed: 1 }));
    for (const result of results) result.dispose();
    expect(device.memory().used).toBe(used);
    device.dispose();
  });

  it('do not count as writes to their inputs', async () => {
    const device = await open();
    const x = device.tensor([[1, 2, 3]], undefined, { requiresGrad: true });
    const before = mul(x, x);
    const loss = add(sum(before), sum(unpack(pack(x, [2]), [1, 1], 2)));
    loss.backward();
    expect([...(x.grad?.dataSync() ?? [])]).toEqual([3, 5, 6]);
  });

  it('copy arrays that the backward pass needs', async () => {
    const device = await open();
    const x = device.tensor([1, 2, 3, 4], [2, 2], { requiresGrad: true });
    const gradientOf = (y: Tensor, change: () => void) => {
      x.zeroGrad();
      change();
      y.backward(Float32Array.from({ length: y.size }, (_, i) => i + 1));
      return [...x.grad!.dataSync()];
    };
    const lengths = [2, 1];
    expect(gradientOf(pack(x, lengths), () => lengths.splice(0, 2, 1, 2))).toEqual([1, 2, 3, 0]);
    const ragged = [1, 3];
    expect(gradientOf(unpack(x.reshape(4), ragged, 3), () => ragged.reverse())).toEqual([1, 4, 5, 6]);
    const tensors = [x, device.zeros([2, 2])];
    expect(gradientOf(concat(tensors), () => tensors.reverse())).toEqual([1, 2, 3, 4]);
    const axes = [1, 0];
    expect(gradientOf(permute(x, axes), () => axes.reverse())).toEqual([1, 3, 2, 4]);
  });

  it('split the first dimension by default', async () => {
    const x = (await open()).zeros([4, 6]);
    expect(split(x, [1, 3]).map(({ shape }) => shape)).toEqual([
      [1, 6],
      [3, 6],
    ]);
  });

  it('slice columns and rows without copying', async () => {
    const x = (await open()).zeros([4, 6]);
    for (const part of [slice(x, 1, 2, 4), slice(x, 0, 1, 3), ...split(x, [2, 4], -1)]) expect(part.root).toBe(x);
  });

  it('fail on invalid rows and lengths, and the device stays usable', async () => {
    const device = await open();
    const x = device.full([2, 3, 4], 1);
    expect(() => gather(x, device.tensor(Int32Array.of(1, 2)))).toThrow('gather: row 1 of rows is 2, expected 0 to 1');
    const y = gather(x, computedIds(device, 1, 2));
    await expect(y.data()).rejects.toThrow(CommandError);
    expect([...(await y.data())]).toEqual([...Array(12).fill(1), ...Array(12).fill(0)]);
    for (const lengths of [
      [3, 4],
      [-1, 3],
      [1, 1],
      [3, 3],
    ]) {
      const packed = pack(x, device.tensor(Int32Array.from(lengths)), 5);
      await expect(packed.data(), String(lengths)).rejects.toThrow('a length is out of range');
      await expect(unpack(packed, lengths, 3).data(), String(lengths)).rejects.toThrow(CommandError);
    }
    expect(await sum(pack(x, [3, 2])).item()).toBe(20);
    expect(await sum(pack(x, Int32Array.of(3, 2))).item()).toBe(20);
    expect(unpack(x.reshape(-1), Int32Array.of(3, x.size - 3), x.size).shape).toEqual([2, x.size]);
  });

  it('refuse arguments that do not fit', async () => {
    const device = await open();
    const x = device.zeros([2, 3]);
    expect(() => permute(x, [0, 0])).toThrow(ArgumentError);
    expect(() => concat([x, device.zeros([3, 3])], 1)).toThrow('concat: tensors[1] is [3, 3], expected [2, 3]');
    expect(() => concat([x, device.zeros([2, 3], 'int32')])).toThrow('concat: tensors[1] is int32, expected float32');
    expect(() => concat([])).toThrow(ArgumentError);
    expect(() => slice(x, 1, 2, 2)).toThrow('slice: 2 to 2 is out of range for dimension 1 of [2, 3]');
    expect(() => split(x, [1, 1], 1)).toThrow(ShapeError);
    expect(() => pack(x, [1])).toThrow('pack: there are 1 lengths, expected 2');
    expect(() => pack(x, device.zeros([2], 'int32'))).toThrow('total, their sum, must be given');
    expect(() => unpack(x, [], 3)).toThrow(
      new ArgumentError('unpack: the number of lengths is 0, expected a positive integer'),
    );
    expect(() => unpack(x, device.zeros([2]), 3)).toThrow('unpack: lengths is float32, expected int32');
  });
});
