import { describe, expect, it } from 'vitest';
import { createDevice, DeviceError, DTypeError, ShapeError, type Tensor } from '../../src/index.js';
import { linear, matmul } from '../../src/ops/index.js';
import { describeOp, deviceFor, edges, isas } from '../describe-op.js';
import { matmul as reference } from '../reference/matmul.js';

interface Case {
  readonly a: readonly number[];
  readonly b: readonly number[];
  readonly transposeA?: boolean;
  readonly transposeB?: boolean;
}

/** Matrices of m × k and k × n, stored in each of the four ways. */
function product(m: number, k: number, n: number): Case[] {
  return [false, true].flatMap((transposeA) =>
    [false, true].map((transposeB) => ({
      a: transposeA ? [k, m] : [m, k],
      b: transposeB ? [n, k] : [k, n],
      transposeA,
      transposeB,
    })),
  );
}

/** Terms of the longest sum in product or gradients: one of m, k or n, and the matrices that a broadcast one meets. */
function longestSum({ a, b }: Case): number {
  const matrices = Math.max(
    1,
    ...[a, b].map((shape) => shape.slice(0, -2).reduce((product, size) => product * size, 1)),
  );
  return Math.max(...a.slice(-2), ...b.slice(-2)) * matrices;
}

describeOp({
  name: 'matmul',
  cases: [
    // Each dimension passes through the sizes around vectors and tiles while the others stand at odd ones.
    ...edges(16, 12).flatMap((m) => product(m, 5, 19)),
    ...edges(16, 32).flatMap((k) => product(7, k, 3)),
    ...[...edges(16, 64), 113].flatMap((n) => product(5, 9, n)),
    ...[...edges(8, 32)].flatMap((n) => product(14, 17, n)),
    // Sums in several blocks, rows of b on different pages, tasks in both directions.
    ...product(3, 1500, 5),
    ...product(26, 530, 17),
    { a: [40, 5], b: [5, 1100] },
    // Few rows: all columns some k at a time, in runs of columns.
    { a: [1, 3], b: [3, 4200] },
    { a: [11, 70], b: [70, 1001] },
    { a: [60, 530], b: [530, 33] },
    { a: [1, 270], b: [270, 515] },
    // Batches: one to one, one matrix shared by all, broadcast both ways and in between.
    { a: [3, 4, 5], b: [3, 5, 6] },
    { a: [3, 4, 5], b: [5, 6] },
    { a: [4, 5], b: [3, 5, 6] },
    { a: [2, 3, 5, 4], b: [5, 6], transposeA: true },
    { a: [2, 1, 4, 5], b: [3, 6, 5], transposeB: true },
    { a: [2, 3, 2, 4, 5], b: [3, 1, 5, 6] },
    { a: [1, 4, 5], b: [1, 5, 1] },
    { a: [4, 20, 33], b: [4, 17, 33], transposeB: true },
    // Vectors: a row on the left, a column on the right.
    { a: [5], b: [5] },
    { a: [5], b: [5, 3] },
    { a: [5], b: [2, 4, 5, 3] },
    { a: [3, 5], b: [5] },
    { a: [2, 4, 3, 17], b: [17] },
    { a: [17], b: [2, 3, 17], transposeB: true },
    { a: [2, 5, 3], b: [5], transposeA: true },
  ] as Case[],
  inputs: ({ a, b }, random) => ({ a: random.normal(a), b: random.normal(b) }),
  forward: ({ a, b }, { transposeA, transposeB }) => matmul(a, b, { transposeA, transposeB }),
  reference({ a, b }, options) {
    const isVector = ({ shape }: { shape: readonly number[] }) => shape.length === 1;
    const row = isVector(a) ? { shape: [1, a.data.length], data: a.data } : a;
    const { shape, data } = reference(row, isVector(b) ? { shape: [b.data.length, 1], data: b.data } : b, options);
    const rows = isVector(a) ? [] : shape.slice(-2, -1);
    return { shape: [...shape.slice(0, -2), ...rows, ...(isVector(b) ? [] : shape.slice(-1))], data };
  },
  gradients: ['a', 'b'],
  tolerance: longestSum,
});

describe('matmul', () => {
  it('gives a row the same bits in any batch', async () => {
    const device = await deviceFor(isas[0]!, 2);
    const values = (count: number) => Float32Array.from({ length: count }, (_, i) => Math.sin(i * 1.7));
    const rows = 161;
    const a = device.tensor(values(rows * 600), [rows, 600]);
    const cases = [150, 2000, 4300].flatMap((cols) => [false, true].map((transposeB) => [cols, transposeB] as const));
    for (const [cols, transposeB] of cases) {
      const b = device.tensor(values(600 * cols), transposeB ? [cols, 600] : [600, cols]);
      const all = await matmul(a, b, { transposeB }).data();
      for (const [from, to] of [
        [0, 1],
        [17, 18],
        [20, 27],
        [3, 60],
        [40, 130],
      ] as const) {
        expect(await matmul(a.rows(from, to), b, { transposeB }).data()).toEqual(all.slice(from * cols, to * cols));
      }
    }
  });

  it('gives one row the same bits with all fused operations', async () => {
    const device = await deviceFor(isas[0]!, 2);
    const values = (count: number) => Float32Array.from({ length: count }, (_, i) => Math.sin(i * 1.7));
    for (const [depth, cols] of [
      [270, 515],
      [1100, 200],
      [600, 2100],
    ] as const) {
      const a = device.tensor(values(3 * depth), [3, depth]);
      const b = device.tensor(values(depth * cols), [depth, cols]);
      const bias = device.tensor(values(cols), [cols]);
      const all = await linear(a, b, bias, { activation: 'gelu' }).data();
      const row = await linear(a.rows(1, 2), b, bias, { activation: 'gelu' }).data();
      expect(row).toEqual(all.slice(cols, 2 * cols));
    }
  });

  it('gives the same bits with a weight in another layout, and does not change the weight', async () => {
    const values = (count: number, from = 0) =>
      Float32Array.from({ length: count }, (_, i) => Math.sin(i * 1.7 + from));
    for (const isa of isas) {
      const device = await deviceFor(isa, 3);
      for (const [depth, cols] of [
        [130, 513],
        [1100, 200],
        [600, 259],
      ] as const) {
        const bias = device.tensor(values(cols), [cols]);
        const inputs = [1, 2, 5, 13, 30, 66].map((rows) => device.tensor(values(rows * depth, rows), [rows, depth]));
        const product = (x: Tensor, w: Tensor) => linear(x, w, bias, { activation: 'gelu' });
        const weights = values(depth * cols);
        const w = device.tensor(weights, [depth, cols]);
        /** Uses new weights, which no product has read yet. */
        const once = async (compute: (w: Tensor) => Tensor) => {
          const fresh = device.tensor(weights, [depth, cols]);
          const result = await compute(fresh).data();
          fresh.dispose();
          return result;
        };
        const useOften = async (runs: number) => {
          for (let run = 0; run < runs; run++) {
            const y = product(inputs[run % 5]!, w);
            await y.data();
            y.dispose();
          }
        };
        const expected = await Promise.all(inputs.map((x) => once((fresh) => product(x, fresh))));
        await useOften(20);
        for (const [i, x] of inputs.entries()) expect(await product(x, w).data()).toEqual(expected[i]);
        expect(await w.data()).toEqual(weights);
        await useOften(40);
        const transposed = (w: Tensor) => matmul(bias.reshape(1, cols), w, { transposeB: true });
        expect(await transposed(w).data()).toEqual(await once(transposed));
        await useOften(160);
        const ofRows = (w: Tensor) => matmul(inputs[1]!.columns(40, 120), w.rows(40, 120));
        const [all, some] = [product(inputs[0]!, w), ofRows(w)]; // in one run
        expect(await some.data()).toEqual(await once(ofRows));
        expect(await all.data()).toEqual(expected[0]);
        await useOften(600);
        weights.set(values(7), 333);
        w.write(weights);
        for (const x of inputs) expect(await product(x, w).data()).toEqual(await once((fresh) => product(x, fresh)));
      }
    }
  });

  it('refuses shapes, dtypes and options that do not fit', async () => {
    const device = await deviceFor(isas[0]!, 1);
    const zeros = (...shape: number[]) => device.zeros(shape);
    expect(() => matmul(zeros(2, 3), zeros(4, 5))).toThrow(ShapeError);
    expect(() => matmul(zeros(2, 3), zeros(4, 5))).toThrow(
      'a is [2, 3], b is [4, 5]: the inner dimensions 3 and 4 differ',
    );
    expect(() => matmul(zeros(2, 3), zeros(3, 5), { transposeA: true })).toThrow('a is [2, 3] transposed');
    expect(() => matmul(zeros(2, 4, 3), zeros(3, 3, 5))).toThrow(ShapeError);
    expect(() => matmul(zeros(), zeros(3, 5))).toThrow('a is [], expected a vector, a matrix or a batch');
    expect(() => matmul(zeros(4), zeros(3, 5))).toThrow(ShapeError);
    expect(() => matmul(zeros(3), zeros(3, 5), { transposeA: true })).toThrow(
      'matmul: a is [3]: transposeA is for matrices',
    );
    expect(() => matmul(zeros(2, 3), zeros(3, 5), { transposeC: true } as object)).toThrow('no option transposeC');
    expect(() => matmul(zeros(2, 3), device.zeros([3, 5], 'int32'))).toThrow(DTypeError);
    const other = await createDevice({ threads: 1 });
    expect(() => matmul(zeros(2, 3), other.zeros([3, 5]))).toThrow(DeviceError);
    other.dispose();
  });
});
