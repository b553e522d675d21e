import { describe, expect, it } from 'vitest';
import { ArgumentError, CommandError, ShapeError } from '../../src/index.js';
import { causalConv } from '../../src/ops/index.js';
import { describeOp, deviceFor, isas } from '../describe-op.js';
import { build } from '../reference/reals.js';

const rowsOf = (lengths: readonly number[]) => lengths.reduce((sum, length) => sum + length, 0);

describeOp({
  name: 'causalConv',
  cases: [
    { lengths: [1], cols: 1, taps: 1 },
    { lengths: [5, 2, 9], cols: 17, taps: 3 },
    { lengths: [40], cols: 33, taps: 4, bias: true },
    { lengths: [1, 70, 3], cols: 130, taps: 4, bias: true },
    { lengths: [2, 3], cols: 16, taps: 7 },
  ],
  inputs: ({ lengths, cols, taps, bias }, random) => ({
    x: random.normal([rowsOf(lengths), cols]),
    w: random.normal([taps, cols]),
    bias: bias ? random.normal([cols]) : null,
    lengths: { shape: [lengths.length], data: Int32Array.from(lengths) },
  }),
  forward: ({ x, w, bias, lengths }) => causalConv(x, w, { bias, lengths }),
  reference({ x, w, bias }, { lengths, cols, taps }) {
    const first = lengths.flatMap((length, i) => Array<number>(length).fill(rowsOf(lengths.slice(0, i))));
    return build([first.length, cols], (i) => {
      const [row, col] = [Math.floor(i / cols), i % cols];
      let total = bias?.data[col] ?? 0;
      for (let j = 0; j < taps; j++) {
        const at = row - taps + 1 + j;
        if (at >= first[row]!) total += w.data[j * cols + col]! * x.data[at * cols + col]!;
      }
      return total;
    });
  },
  gradients: ['x', 'w', 'bias'],
  tolerance: ({ lengths, taps }) => Math.max(rowsOf(lengths), taps + 1),
});

describe.each(isas)('%s', (isa) => {
  it('gives the same bits for a sequence in pieces, with the states between them', async () => {
    const device = await deviceFor(isa, 2);
    const [rows, cols, taps] = [23, 70, 4];
    const values = (size: number, seed: number) =>
      Float32Array.from({ length: size }, (_, i) => Math.sin(seed + 3 * i));
    const [x, w] = [
      device.tensor(values(rows * cols, 1), [rows, cols]),
      device.tensor(values(taps * cols, 2), [taps, cols]),
    ];
    const bias = device.tensor(values(cols, 3), [cols]);
    const ints = (...ids: number[]) => device.tensor(Int32Array.from(ids));
    const whole = causalConv(x, w, { bias, lengths: ints(rows) }).dataSync();
    const states = device.full([3, taps - 1, cols], Number.NaN);
    const pieces = { bias, states, lengths: ints(1, 1, 9, 2, 10), from: ints(-1, 1, 1, 0, 2), to: ints(1, 1, 0, 2, 2) };
    expect(causalConv(x, w, pieces).dataSync()).toEqual(whole);
    // Each row alone, as in steps.
    const one = { bias, states };
    for (let row = 0; row < rows; row++) {
      const y = causalConv(x.rows(row, row + 1), w, { ...one, from: ints(row === 0 ? -1 : 1), to: ints(1) });
      expect(y.dataSync(), `row ${row}`).toEqual(whole.slice(row * cols, (row + 1) * cols));
    }
  });

  it('refuses operands that do not fit', async () => {
    const device = await deviceFor(isa, 1);
    const [x, w] = [device.zeros([4, 3]), device.zeros([2, 3])];
    expect(() => causalConv(x, device.zeros([2, 4]))).toThrow(ShapeError);
    expect(() => causalConv(x, w, { states: device.zeros([1, 1, 3]) })).toThrow(ArgumentError);
    const lengths = device.tensor(Int32Array.of(1, 4));
    expect(() => causalConv(x, w, { lengths }).dataSync()).toThrow(CommandError);
  });
});
