// Matrix products and attention in bfloat16. On every instruction set and for any number of threads, products have the
// bits of a reference. It follows the definition in native/kernels/shared/bfloat16.h.

import { afterAll, describe, expect, it } from 'vitest';
import { ArgumentError, createDevice, type Device, type Tensor } from '../../src/index.js';
import { attention, groupedLinear, groupRows, linear, matmul, sum } from '../../src/ops/index.js';
import { deviceFor, isas } from '../describe-op.js';
import { Random } from '../random.js';
import { dotInBfloat16, toBfloat16 } from '../reference/bfloat16.js';
import { largest } from '../tolerance.js';

const random = new Random('bfloat16');

/** Kinds of numbers: ordinary ones, and those at the limits of the format. */
const KINDS: Readonly<Record<string, () => number>> = {
  normal: () => random.normal([1]).data[0] as number,
  'of all sizes': () => random.sign() * 2 ** (random.next() * 250 - 125),
  'with products near the least float': () => random.sign() * (1 + random.below(4) / 4) * 2 ** -(62 + random.below(4)),
  'with products near the largest float': () => random.sign() * (1 + random.next()) * 2 ** (61 + random.below(4)),
  'zeros, subnormal and infinite': () =>
    random.sign() * ([0, 2 ** -127, 2 ** -149, 1, 2 ** 100, Infinity, NaN][random.below(7)] as number),
  'halfway between two': () => random.sign() * (1 + (random.below(256) * 2 + 1) / 512 + random.below(2) * 2 ** -23),
};
const SIZES = [
  { rows: 1, depth: 1, cols: 1 },
  { rows: 5, depth: 33, cols: 19 },
  { rows: 37, depth: 70, cols: 50 },
  { rows: 16, depth: 32, cols: 16 },
];

function bitsOf(values: ArrayLike<number>): Uint32Array {
  const floats = Float32Array.from(values);
  return new Uint32Array(floats.buffer).map((bits, i) => (Number.isNaN(floats[i]) ? 0x7fc00000 : bits));
}

async function valuesOf(tensor: Tensor): Promise<Uint32Array> {
  return bitsOf(await tensor.data());
}

/** Rows × cols numbers, stored by columns if `transposed`. */
function stored(values: Float32Array, rows: number, cols: number, transposed: boolean): Float32Array {
  if (!transposed) return values;
  return Float32Array.from(
    { length: rows * cols },
    (_, i) => values[(i % rows) * cols + Math.floor(i / rows)] as number,
  );
}

describe.each(Object.entries(KINDS))('products of numbers %s', (_, draw) => {
  it.each(SIZES)('$rows × $depth × $cols have the bits of the definition', async ({ rows, depth, cols }) => {
    const [a, b] = [rows * depth, depth * cols].map((length) => Float32Array.from({ length }, draw)) as [
      Float32Array,
      Float32Array,
    ];
    const [x, y] = [a, b].map((values) => values.map(toBfloat16)) as [Float32Array, Float32Array];
    const expected = bitsOf(
      Array.from({ length: rows * cols }, (_, i) => {
        const [row, col] = [Math.floor(i / cols), i % cols];
        return dotInBfloat16(depth, (k) => [x[row * depth + k] as number, y[k * cols + col] as number]);
      }),
    );
    for (const isa of isas) {
      for (const threads of [1, 3]) {
        const device = await deviceFor(isa, threads);
        for (const [transposeA, transposeB] of [
          [false, false],
          [true, false],
          [false, true],
          [true, true],
        ] as const) {
          const left = device.tensor(stored(a, rows, depth, transposeA), transposeA ? [depth, rows] : [rows, depth]);
          const right = device.tensor(stored(b, depth, cols, transposeB), transposeB ? [cols, depth] : [depth, cols]);
          const product = device.withMatmul('bfloat16', () => matmul(left, right, { transposeA, transposeB }));
          expect(await valuesOf(product), `${isa}, ${threads} threads`).toEqual(expected);
        }
      }
    }
  });
});

/** A device and its twin that computes in bfloat16 throughout. */
const lower = await createDevice({ matmul: 'bfloat16', threads: 2 });
afterAll(() => lower.dispose());

function rounding(device: Device, values: Float32Array, shape: readonly number[]): Tensor {
  return device.tensor(values.map(toBfloat16), shape);
}

describe('large products', () => {
  const [rows, depth, cols] = [450, 1100, 430];
  const x = random.normal([rows, depth]);
  const w = random.normal([depth, cols]);

  it('have the same bits on every instruction set, for each number of threads, and for a row alone', async () => {
    const results: Uint32Array[] = [];
    for (const isa of isas) {
      for (const threads of isa === 'scalar' ? [2] : [1, 2, 5]) {
        const device = await deviceFor(isa, threads);
        results.push(
          await device.withMatmul('bfloat16', () => valuesOf(matmul(tensorOf(device, x), tensorOf(device, w)))),
        );
      }
    }
    for (const other of results.slice(1)) expect(other).toEqual(results[0]);
    const alone = matmul(lower.tensor(x.data.subarray(7 * depth, 8 * depth), [1, depth]), tensorOf(lower, w));
    expect(await valuesOf(alone)).toEqual((results[0] as Uint32Array).subarray(7 * cols, 8 * cols));
  });

  it('are near the exact products of the rounded factors', async () => {
    const y = await matmul(tensorOf(lower, x), tensorOf(lower, w)).data();
    for (const i of [0, 77, 12345, rows * cols - 1]) {
      const [row, col] = [Math.floor(i / cols), i % cols];
      const terms = Array.from(
        { length: depth },
        (_, k) => toBfloat16(x.data[row * depth + k] as number) * toBfloat16(w.data[k * cols + col] as number),
      );
      const exact = terms.reduce((total, term) => total + term, 0);
      // Sums of 32 / 2 terms, then of depth / 32: each rounding is relative to at most the sum of all sizes.
      const size = terms.reduce((total, term) => total + Math.abs(term), 0);
      expect(Math.abs((y[i] as number) - exact)).toBeLessThan((16 + 2 + depth / 32) * 2 ** -24 * size);
      expect(y[i]).toBe(
        Math.fround(
          dotInBfloat16(depth, (k) => [
            toBfloat16(x.data[row * depth + k] as number),
            toBfloat16(w.data[k * cols + col] as number),
          ]),
        ),
      );
    }
  });
});

const tensorOf = (device: Device, { data, shape }: { data: Float32Array; shape: readonly number[] }) =>
  device.tensor(data, [...shape]);

describe('withMatmul', () => {
  const a = random.normal([3, 8]);
  const b = random.normal([8, 4]);

  it('lasts as long as its function, including an asynchronous one', async () => {
    const device = await deviceFor(isas[0] as string, 1);
    expect(device.matmul).toBe('float32');
    const inside = device.withMatmul('bfloat16', () => {
      const outer = device.matmul;
      return [outer, device.withMatmul('float32', () => device.matmul), device.matmul];
    });
    expect(inside).toEqual(['bfloat16', 'float32', 'bfloat16']);
    expect(device.matmul).toBe('float32');
    const later = device.withMatmul('bfloat16', async () => {
      await Promise.resolve();
      return device.matmul;
    });
    expect(device.matmul).toBe('bfloat16');
    expect(await later).toBe('bfloat16');
    expect(device.matmul).toBe('float32');
    expect(() => device.withMatmul('bfloat16', () => fail())).toThrow('in vain');
    await expect(device.withMatmul('bfloat16', async () => fail())).rejects.toThrow('in vain');
    expect(device.matmul).toBe('float32');
  });

  it('may end in another order than it began', async () => {
    const device = await deviceFor(isas[0] as string, 1);
    const ends: (() => void)[] = [];
    const wait = () => new Promise<void>((end) => ends.push(end));
    const first = device.withMatmul('bfloat16', wait);
    const second = device.withMatmul('float32', wait);
    ends[0]?.();
    await first;
    expect(device.matmul).toBe('float32');
    ends[1]?.();
    await second;
    expect(device.matmul).toBe('float32');
  });

  it('refuses other names', async () => {
    const device = await deviceFor(isas[0] as string, 1);
    expect(() => device.withMatmul('float16' as 'float32', () => 0)).toThrow(ArgumentError);
    expect(() => device.withMatmul('bfloat16', 1 as never)).toThrow(ArgumentError);
    await expect(createDevice({ matmul: 'bf16' as 'bfloat16' })).rejects.toThrow(ArgumentError);
  });

  it('is kept by recorded programs', async () => {
    const device = await deviceFor(isas[0] as string, 1);
    const [x, w] = [tensorOf(device, a), tensorOf(device, b)];
    const eager = await valuesOf(device.withMatmul('bfloat16', () => matmul(x, w)));
    const program = device.withMatmul('bfloat16', () => device.record(() => matmul(x, w)));
    program.run();
    expect(await valuesOf(program.result)).toEqual(eager);
    expect(eager).not.toEqual(await valuesOf(matmul(x, w)));
    program.dispose();
  });

  it('applies to gradients that are computed afterwards', async () => {
    const device = await deviceFor(isas[0] as string, 1);
    const gradients = async (x: Tensor, w: Tensor, inside: boolean) => {
      x.requiresGrad = w.requiresGrad = true;
      const y = inside ? device.withMatmul('bfloat16', () => sum(linear(x, w))) : sum(linear(x, w));
      y.backward();
      return Promise.all([valuesOf(x.grad as Tensor), valuesOf(w.grad as Tensor)]);
    };
    const factors = [a, b].map(({ data, shape }) => rounding(device, data, shape)) as [Tensor, Tensor];
    const expected = await gradients(...factors, true);
    expect(await gradients(tensorOf(device, a), tensorOf(device, b), true)).toEqual(expected);
    expect(await gradients(tensorOf(device, a), tensorOf(device, b), false)).not.toEqual(expected);
  });
});

describe('ops with products', () => {
  const plain = (device: Device, fn: () => Tensor) => device.withMatmul('float32', fn);

  /** The largest difference, relative to the largest value. */
  async function difference(x: Tensor, y: Tensor): Promise<number> {
    const [left, right] = await Promise.all([x.data(), y.data()]);
    return largest(left.map((value, i) => value - (right[i] as number))) / largest(right);
  }

  it('attention rounds queries, keys, values, and probabilities', async () => {
    for (const { Tq, Tk, heads, d, causal } of [
      { Tq: 70, Tk: 150, heads: 2, d: 24, causal: false },
      { Tq: 1, Tk: 300, heads: 4, d: 64, causal: false },
      { Tq: 90, Tk: 90, heads: 2, d: 33, causal: true },
    ]) {
      const shapes = [
        [2, Tq, heads * d],
        [2, Tk, heads * d],
        [2, Tk, heads * d],
      ];
      const values = shapes.map((shape) => random.normal(shape));
      for (const isa of isas) {
        const device = await deviceFor(isa, 2);
        const run = (exact: boolean) => {
          const inputs = values.map(({ data, shape }) =>
            exact ? rounding(device, data, shape) : tensorOf(device, { data, shape }),
          );
          for (const input of inputs) input.requiresGrad = true;
          const [q, k, v] = inputs as [Tensor, Tensor, Tensor];
          const y = device.withMatmul(exact ? 'float32' : 'bfloat16', () => attention(q, k, v, { heads, causal }));
          y.backward(new Float32Array(y.size).fill(0.5));
          return [y, ...inputs.map(({ grad }) => grad as Tensor)];
        };
        const [lowered, exact] = [run(false), run(true)];
        // A factor in bfloat16 is off by at most 2⁻⁹. In float32, inputs are rounded beforehand, so at most two factors
        // of a sum remain: probabilities or their slopes, and dy.
        for (const [i, result] of lowered.entries()) {
          const off = await difference(result, exact[i] as Tensor);
          expect(off, `${isa}, result ${i}`).toBeLessThan(2 ** -7);
        }
        expect(await difference(lowered[0] as Tensor, exact[0] as Tensor)).toBeGreaterThan(0);
      }
    }
  });

  it('grouped products equal the products of each group', async () => {
    const ids = Int32Array.from({ length: 40 }, () => random.below(3));
    const [x, w] = [random.normal([40, 50]), random.normal([50, 3 * 20])];
    for (const isa of isas) {
      const device = await deviceFor(isa, 2);
      const { offsets } = groupRows(device.tensor(ids), 3);
      const [rows, weights] = [tensorOf(device, x), tensorOf(device, w)];
      rows.requiresGrad = weights.requiresGrad = true;
      const y = device.withMatmul('bfloat16', () => groupedLinear(rows, weights, offsets));
      const whole = device.withMatmul('bfloat16', () => matmul(rows.detach(), weights.detach()));
      const starts = (await offsets.data()) as Int32Array;
      const [found, all] = await Promise.all([y.data(), whole.data()]);
      for (let r = 0; r < 40; r++) {
        const group = starts.findIndex((start, g) => r >= start && r < (starts[g + 1] as number));
        expect(found.slice(r * 20, r * 20 + 20)).toEqual(all.slice(r * 60 + group * 20, r * 60 + group * 20 + 20));
      }
      y.backward(new Float32Array(y.size).fill(1));
      const exact = plain(device, () =>
        matmul(
          rounding(device, new Float32Array(y.size).fill(1), [40, 20]),
          device.tensor(
            Float32Array.from({ length: 50 * 20 }, (_, i) =>
              toBfloat16(w.data[Math.floor(i / 20) * 60 + (i % 20)] as number),
            ),
            [50, 20],
          ),
          { transposeB: true },
        ),
      );
      const first = starts[1] as number;
      const dx = (await (rows.grad as Tensor).data()).slice(0, first * 50);
      const expected = (await exact.data()).slice(0, first * 50);
      for (const [i, value] of dx.entries()) expect(value).toBeCloseTo(expected[i] as number, 4);
      expect(weights.grad).not.toBeNull();
    }
  });
});

function fail(): never {
  throw new Error('in vain');
}
