// Packed matrices of groups: products are those of the unpacked matrices, each row has the bits it has alone.
import { describe, expect, it } from 'vitest';
import { CommandError, type Device, ShapeError, type Tensor } from '../../src/index.js';
import { PackedWeight } from '../../src/nn/index.js';
import { perGroup } from '../../src/nn/mixture-of-experts.js';
import { groupedLinear, mul, sum, transpose } from '../../src/ops/index.js';
import { deviceFor, isas } from '../describe-op.js';
import { anyBlocks, formats } from '../nn/any-blocks.js';
import { Random } from '../random.js';

const offsetsOf = (device: Device, sizes: readonly number[]) => {
  let end = 0;
  return device.tensor(Int32Array.from([0, ...sizes.map((size) => (end += size))]));
};

function largestDifference(given: Tensor, wanted: Tensor): number {
  const [a, b] = [Array.from(given.dataSync()), Array.from(wanted.dataSync())];
  const max = (values: number[]) => values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
  return max(a.map((value, i) => value - (b[i] as number))) / max(b);
}

/** Sizes of groups: as in decoding, a few rows each, and more rows than a block has. */
const cases = [
  { sizes: [1], cols: 16 },
  { sizes: [0, 1, 0, 1, 0, 0, 1, 1], cols: 96 },
  { sizes: [3, 0, 5, 2], cols: 48 },
  { sizes: [20, 1, 0, 260], cols: 64 },
  { sizes: [1, 0, 2, 1, 7], cols: 5 },
  { sizes: [2, 19, 0, 1], cols: 88 },
];

describe.each(isas)('%s', (isa) => {
  it.each(formats)('%s: multiplies rows by the matrix of their group', async (format) => {
    const device = await deviceFor(isa, 2);
    const random = new Random(`groups ${format}`);
    const depth = 512;
    for (const { sizes, cols } of cases) {
      const all = sizes.length * cols;
      device.scope(() => {
        const weight = PackedWeight.fromBlocks(device, format, [all, depth], anyBlocks(random, format, all, depth));
        const offsets = offsetsOf(device, sizes);
        const rows = sizes.reduce((total, size) => total + size, 0);
        const x = device.tensor(random.normal([rows, depth]).data, [rows, depth]);
        weight.activations = 'float32';
        const floats = transpose(weight.unpack());
        expect(largestDifference(perGroup(weight, x, offsets), groupedLinear(x, floats, offsets))).toBeLessThan(1e-5);
        for (const activations of ['float32', 'int8'] as const) {
          weight.activations = activations;
          const y = perGroup(weight, x, offsets);
          let row = 0;
          for (const [group, size] of sizes.entries()) {
            if (size === 0) continue;
            const alone = weight.linearPart(x.rows(row, row + size), group * cols, (group + 1) * cols, null);
            expect(y.rows(row, row + size).dataSync()).toEqual(alone.dataSync());
            row += size;
          }
        }
        weight.dispose();
      });
    }
  });

  it.each(['q4_k', 'mxfp4', 'q8_0'] as const)('%s: one row uses the matrix of its group alone', async (format) => {
    const device = await deviceFor(isa, 2);
    const random = new Random(`alone ${format}`);
    const [groups, cols, depth, chosen] = [6, 40, 256, 4]; // groups share tiles
    const blocks = anyBlocks(random, format, groups * cols, depth);
    const poisoned = blocks.slice().fill(0xff); // scales are NaN
    const size = blocks.length / groups;
    poisoned.set(blocks.subarray(chosen * size, (chosen + 1) * size), chosen * size);
    const x = device.tensor(random.normal([1, depth]).data, [1, depth]);
    const offsets = offsetsOf(
      device,
      Array.from({ length: groups }, (_, group) => Number(group === chosen)),
    );
    const [given, wanted] = [poisoned, blocks].map((bytes) => {
      const weight = PackedWeight.fromBlocks(device, format, [groups * cols, depth], bytes);
      const y = perGroup(weight, x, offsets).dataSync().slice();
      weight.dispose();
      return y;
    });
    expect(given).toEqual(wanted);
  });

  it('gives the gradient of x by the unpacked weights', async () => {
    const device = await deviceFor(isa, 2);
    const random = new Random('gradient');
    const [sizes, cols, depth] = [[4, 0, 1, 33], 528, 64] as const;
    const all = sizes.length * cols;
    const weight = PackedWeight.fromBlocks(device, 'q4_0', [all, depth], anyBlocks(random, 'q4_0', all, depth));
    const offsets = offsetsOf(device, sizes);
    const x = device.tensor(random.normal([38, depth]).data, [38, depth]);
    x.requiresGrad = true;
    const factors = device.tensor(random.normal([38, cols]).data, [38, cols]);
    const gradientOf = (forward: () => Tensor) => {
      x.grad?.dispose();
      device.scope(() => sum(mul(forward(), factors)).backward());
      return x.grad!.dataSync();
    };
    const floats = transpose(weight.unpack());
    const wanted = gradientOf(() => groupedLinear(x, floats, offsets)).slice();
    const given = gradientOf(() => perGroup(weight, x, offsets));
    const max = Math.max(...wanted.map(Math.abs));
    expect(Math.max(...wanted.map((value, i) => Math.abs(value - given[i]!)))).toBeLessThan(1e-5 * max);
    weight.dispose();
  });

  it('joins parts of several formats, and refuses what does not fit', async () => {
    const device = await deviceFor(isa, 2);
    const random = new Random('joined');
    const part = (format: 'q8_0' | 'q6_k', rows: number) =>
      PackedWeight.fromBlocks(device, format, [rows, 256], anyBlocks(random, format, rows, 256));
    const weight = PackedWeight.join([part('q8_0', 64), part('q6_k', 32)]);
    const x = device.tensor(random.normal([5, 256]).data, [5, 256]);
    const offsets = offsetsOf(device, [1, 3, 1]);
    weight.activations = 'float32';
    const floats = transpose(weight.unpack());
    expect(largestDifference(perGroup(weight, x, offsets), groupedLinear(x, floats, offsets))).toBeLessThan(1e-5);
    expect(() => perGroup(weight, x, offsetsOf(device, [1, 4]))).toThrow(ShapeError);
    expect(() => perGroup(weight, device.zeros([5, 3]), offsets)).toThrow(
      'quantizedPerGroup: x is [5, 3], w is [96, 256], offsets is [4], expected [rows, depth], [groups · cols, depth]',
    );
    const wrong = perGroup(weight, x, device.tensor(Int32Array.of(0, 5, 4, 5)));
    await expect(wrong.data()).rejects.toThrow(CommandError);
    weight.dispose();
  });
});
