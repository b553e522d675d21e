import { describe, expect, it } from 'vitest';
import { logSoftmax, softmax } from '../../src/ops/index.js';
import { describeOp, deviceFor, edges, isas } from '../describe-op.js';
import * as reference from '../reference/norm.js';
import { build, type Reals } from '../reference/reals.js';

interface Sizes {
  readonly shape: readonly number[];
  readonly axis?: number;
  readonly scale?: number;
}

const cases: Sizes[] = [
  ...edges().map((cols) => ({ shape: [3, cols] })),
  { shape: [1, 9000] },
  { shape: [4, 50], scale: 100 },
  ...edges().map((inner) => ({ shape: [2, 5, inner], axis: 1 })),
  { shape: [7, 3, 2], axis: 0 },
  { shape: [2, 3, 4, 5], axis: -3 },
];

/** `op` of the last dimension, along another: each slice is gathered into a row and put back. */
function alongAxis(op: (rows: Reals) => Reals, x: Reals, axis = -1): Reals {
  const position = axis < 0 ? axis + x.shape.length : axis;
  const n = x.shape[position]!;
  const inner = x.shape.slice(position + 1).reduce((product, dimension) => product * dimension, 1);
  // Element i of the rows is element place(i) of x.
  const place = (i: number) => (Math.floor(i / n / inner) * n + (i % n)) * inner + (Math.floor(i / n) % inner);
  const rows = op(build([x.data.length / n, n], (i) => x.data[place(i)]!));
  const data = new Float64Array(x.data.length);
  rows.data.forEach((value, i) => {
    data[place(i)] = value;
  });
  return { shape: x.shape, data };
}

describeOp({
  name: 'softmax',
  cases,
  inputs: ({ shape, scale }, random) => ({ x: random.normal(shape, scale) }),
  forward: ({ x }, { axis }) => softmax(x, { axis }),
  reference: ({ x }, { axis }) => alongAxis(reference.softmax, x, axis),
  gradients: ['x'],
  tolerance: ({ shape, axis = -1 }) => shape.at(axis)!,
  cancelling: () => 1, // dy less its mean
});

describeOp({
  name: 'logSoftmax',
  cases: cases.filter(({ scale }) => scale === undefined), // a probability of nearly 1 has no digits left for its logarithm
  inputs: ({ shape, scale }, random) => ({ x: random.normal(shape, scale) }),
  forward: ({ x }, { axis }) => logSoftmax(x, { axis }),
  reference: ({ x }, { axis }) => alongAxis(reference.logSoftmax, x, axis),
  gradients: ['x'],
  tolerance: ({ shape, axis = -1 }) => shape.at(axis)!,
});

describe.each(isas)('softmax, %s', (isa) => {
  const { NaN: nan, NEGATIVE_INFINITY: never } = Number;
  // Once along the rows, once down the columns, which are other code.
  it.each([-1, 0])('handles infinities and huge values along axis %d', async (axis) => {
    const device = await deviceFor(isa, 1);
    const apply = async (op: typeof softmax, values: number[]) => {
      const shape = axis === 0 ? [values.length, 2] : [2, values.length];
      const data = axis === 0 ? values.flatMap((value) => [value, value]) : [...values, ...values];
      const y = await op(device.tensor(Float32Array.from(data), shape), { axis }).data();
      return values.map((_, i) => y[axis === 0 ? 2 * i : i]!);
    };
    expect(await apply(softmax, [never, 0, never, 0])).toEqual([0, 0.5, 0, 0.5]);
    expect(await apply(softmax, [3e38, -3e38, 3e38])).toEqual([0.5, 0, 0.5]);
    expect(await apply(softmax, [-3e38, -3e38])).toEqual([0.5, 0.5]);
    expect(await apply(softmax, [never, never])).toEqual([nan, nan]);
    expect(await apply(softmax, [0, nan, 0])).toEqual([nan, nan, nan]);
    expect(await apply(softmax, [Infinity, 0])).toEqual([nan, nan]);
    expect(await apply(logSoftmax, [never, 0])).toEqual([never, 0]);
    expect(await apply(logSoftmax, [1e30, 1e30])).toEqual([Math.fround(-Math.LN2), Math.fround(-Math.LN2)]);
    expect(await apply(logSoftmax, [never, never])).toEqual([nan, nan]);
    expect(await apply(logSoftmax, [0, nan])).toEqual([nan, nan]);
  });
});

it.each(isas)('%s gives a row the same bits in a tensor of more than 32 MB, forward and backward', async (isa) => {
  const device = await deviceFor(isa, 2);
  const [rows, cols, few] = [17_000, 517, 40];
  const values = Float32Array.from({ length: rows * cols }, (_, i) => 3 * Math.sin(i * 1.7));
  for (const op of [softmax, logSoftmax]) {
    const make = (from: number, to: number) =>
      device.tensor(values.subarray(from * cols, to * cols), [to - from, cols], { requiresGrad: true });
    const x = make(0, rows);
    const y = op(x);
    y.backward(values);
    for (const from of [0, rows - few]) {
      const part = make(from, from + few);
      const alone = op(part);
      alone.backward(values.subarray(from * cols, (from + few) * cols));
      expect(await y.rows(from, from + few).data()).toEqual(await alone.data());
      expect(await x.grad!.rows(from, from + few).data()).toEqual(await part.grad!.data());
    }
    for (const tensor of [x, y]) tensor.dispose();
  }
});

describe('softmax', () => {
  it('refuses a missing axis', async () => {
    const device = await deviceFor(isas[0]!, 1);
    expect(() => softmax(device.zeros([2, 3]), { axis: 2 })).toThrow('softmax: axis 2 is not a dimension of [2, 3]');
    expect(() => logSoftmax(device.zeros([]))).toThrow('logSoftmax: axis -1 is not a dimension of []');
  });
});
