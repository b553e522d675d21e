// Products of packed integers with int8 activations, compared with plain numbers. Every instruction set, number of
// threads and batch gives the same bits.

import { afterAll, describe, expect, it } from 'vitest';
import type { InstructionSet } from '../../src/backend/backend.js';
import { createDevice, type Device, type Tensor } from '../../src/index.js';
import { PackedWeight } from '../../src/nn/index.js';
import type { PackedFormat } from '../../src/ops/index.js';
import { isas } from '../describe-op.js';
import { hasWasm } from '../equipment.js';
import { Random } from '../random.js';
import { anyBlocks, type FileFormat } from './any-blocks.js';

const small = ['int8', 'q8_0', 'q4_0', 'q4_1', 'q5_0', 'q5_1'] as const;
/** Formats with integer scales in blocks of 256 inputs. */
const large = ['q2_k', 'q3_k', 'q4_k', 'q5_k', 'q6_k', 'iq4_xs'] as const;
const formats = [...small, ...large] as const;
type Format = (typeof formats)[number];
const withMinima: readonly Format[] = ['q4_1', 'q5_1', 'q2_k', 'q4_k', 'q5_k'];

interface Case {
  readonly rows: number;
  readonly out: number;
  readonly inputs: number;
}
const cases: readonly Case[] = [
  { rows: 1, out: 16, inputs: 256 },
  { rows: 3, out: 5, inputs: 512 },
  { rows: 45, out: 50, inputs: 1280 },
];

/** For weights that are not made of blocks: groups without a neighbour, and some that are not full. */
const oddCases: readonly Case[] = [
  { rows: 14, out: 20, inputs: 1230 },
  { rows: 2, out: 17, inputs: 20 },
  { rows: 37, out: 75, inputs: 1230 }, // whole blocks of rows, which AMX multiplies, and five tiles of features
];

const devices = new Map<string, Device>();
async function deviceOf(isa: string, threads: number): Promise<Device> {
  const known = devices.get(`${isa} ${threads}`);
  if (known !== undefined) return known;
  const wasm = isa.startsWith('wasm ');
  const device = await createDevice(wasm ? { backend: 'wasm', threads } : { isa: isa as InstructionSet, threads });
  devices.set(`${isa} ${threads}`, device);
  return device;
}
afterAll(() => {
  for (const device of devices.values()) device.dispose();
});

function weightOn(device: Device, format: Format, { out, inputs }: Case): PackedWeight {
  const random = new Random(`weight ${format} ${out} ${inputs}`);
  if (format !== 'int8') {
    const shape = [out, inputs] as const;
    return PackedWeight.fromBlocks(device, format, shape, anyBlocks(random, format as FileFormat, out, inputs));
  }
  const floats = device.tensor(random.normal([out, inputs]).data, [out, inputs]);
  const weight = PackedWeight.fromTensor(floats, format as PackedFormat);
  floats.dispose();
  return weight;
}

function inputsOf({ rows, inputs }: Case): Float32Array {
  return new Random(`inputs ${rows} ${inputs}`).normal([rows, inputs]).data as Float32Array;
}

/** Bits of the product, one row after another. */
function bitsOf(device: Device, weight: PackedWeight, x: Float32Array, { rows, out, inputs }: Case): Int32Array {
  return device.scope(() => {
    const bias = device.tensor(Float32Array.from({ length: out }, (_, i) => i / 8));
    const y = weight.linear(device.tensor(x, [rows, inputs]), bias);
    return new Int32Array((y.dataSync() as Float32Array).slice().buffer);
  });
}

const roundEven = (x: number) => {
  const down = Math.floor(x);
  const rest = x - down;
  return rest > 0.5 || (rest === 0.5 && down % 2 !== 0) ? down + 1 : down;
};

/** Number of inputs that share a scale. */
function inputsOfScale(format: Format): number {
  if (format === 'int8') return 64;
  return (large as readonly Format[]).includes(format) ? 256 : 32;
}

/** Inputs as the integers that stand for them, times their scales. */
function roundedInputs(x: Float32Array, inputs: number, together: number): Float64Array {
  const result = new Float64Array(x.length);
  for (let row = 0; row < x.length; row += inputs) {
    for (let from = 0; from < inputs; from += together) {
      const part = x.subarray(row + from, row + Math.min(inputs, from + together));
      const largest = part.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
      const inverse = Math.fround(127 / largest);
      const scale = Math.fround(largest / 127);
      for (const [i, value] of part.entries()) result[row + from + i] = roundEven(Math.fround(value * inverse)) * scale;
    }
  }
  return result;
}

describe.each(formats)('%s', (format) => {
  const all = format === 'int8' ? [...cases, ...oddCases] : cases;

  it.each(all)('equals the product of the rounded inputs: %j', async (sizes) => {
    const device = await deviceOf(isas[0] as string, 2);
    const { rows, out, inputs } = sizes;
    const weight = weightOn(device, format, sizes);
    const w = device.scope(() => weight.unpack().dataSync() as Float32Array);
    const rounded = roundedInputs(inputsOf(sizes), inputs, inputsOfScale(format));
    const y = new Float32Array(bitsOf(device, weight, inputsOf(sizes), sizes).buffer);
    for (let i = 0; i < rows * out; i++) {
      const [row, feature] = [Math.floor(i / out), i % out];
      let sum = feature / 8;
      let size = 0;
      for (let k = 0; k < inputs; k++) {
        const term = (rounded[row * inputs + k] as number) * (w[feature * inputs + k] as number);
        sum += term;
        size += Math.abs(term);
      }
      // Minima and levels may cancel, so that terms are larger than what they add up to.
      const allowed = (withMinima.includes(format) ? 1e-5 : 2e-6) * (size + 1);
      expect(Math.abs((y[i] as number) - sum), `${row}, ${feature}`).toBeLessThan(allowed);
    }
    weight.dispose();
  });

  it.each(all)('gives the same bits on every instruction set, for any threads and batch: %j', async (sizes) => {
    const x = inputsOf(sizes);
    let expected: Int32Array | null = null;
    for (const isa of [...isas, ...(hasWasm ? ['wasm auto'] : [])]) {
      for (const threads of [1, 3]) {
        const device = await deviceOf(isa, threads);
        const weight = weightOn(device, format, sizes);
        const bits = bitsOf(device, weight, x, sizes);
        expected ??= bits;
        expect(bits, `${isa}, ${threads} threads`).toEqual(expected);
        const { rows, out, inputs } = sizes;
        for (const count of new Set([1, Math.min(rows, 7)])) {
          const first = rows - count;
          const few = bitsOf(device, weight, x.subarray(first * inputs), { rows: count, out, inputs });
          expect(few, `${isa}: ${count} rows alone`).toEqual(expected.subarray(first * out));
        }
        weight.dispose();
      }
    }
  });

  it('NaN or infinity in a row gives NaN in this row only', async () => {
    for (const isa of isas) {
      const device = await deviceOf(isa, 1);
      const sizes = { rows: 3, out: 20, inputs: 256 };
      const weight = weightOn(device, format, sizes);
      const x = inputsOf(sizes);
      const before = new Float32Array(bitsOf(device, weight, x, sizes).buffer);
      for (const odd of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
        const given = x.slice();
        given[256 + 77] = odd;
        const y = new Float32Array(bitsOf(device, weight, given, sizes).buffer);
        expect(y.subarray(20, 40).every(Number.isNaN)).toBe(true);
        expect(y.subarray(0, 20)).toEqual(before.subarray(0, 20));
        expect(y.subarray(40)).toEqual(before.subarray(40));
      }
      weight.dispose();
    }
  });
});

it.each(['int8', 'q4_1', 'q4_k', 'q6_k'] as const)(
  '%s: however many rows there are, each has the bits that it has alone',
  async (format) => {
    for (const isa of isas) {
      for (const threads of [2, 7]) {
        const device = await deviceOf(isa, threads);
        const max = { rows: 300, out: 190, inputs: (large as readonly Format[]).includes(format) ? 256 : 96 };
        const weight = weightOn(device, format, max);
        const x = inputsOf(max);
        const all = bitsOf(device, weight, x, max);
        for (let rows = 1; rows < max.rows; rows++) {
          const some = bitsOf(device, weight, x.subarray(0, rows * max.inputs), { ...max, rows });
          expect(some, `${isa}, ${threads} threads, ${rows} rows`).toEqual(all.subarray(0, rows * max.out));
        }
        weight.dispose();
      }
    }
  },
);

it('handles rows of zeros, of the smallest numbers, and inputs that do not fill a group', async () => {
  for (const isa of isas) {
    const device = await deviceOf(isa, 2);
    for (const format of ['int8', 'q8_0', 'q4_0', 'q4_1'] as const) {
      device.scope(() => {
        const floats = device.tensor(new Random('odd').normal([9, 45]).data, [9, 45]);
        const weight = PackedWeight.fromTensor(floats, format);
        const y = weight.linear(device.zeros([2, 45]), null).dataSync() as Float32Array;
        expect(y.every((value) => value === 0)).toBe(true);
        const tiny = weight.linear(device.full([1, 45], 1e-38), null).dataSync() as Float32Array;
        expect(tiny.every((value) => value === 0)).toBe(true);
        const [given, wanted] = [weight.linear(device.full([1, 45], 127), null), weight.unpack()];
        const [values, w] = [given.dataSync() as Float32Array, wanted.dataSync() as Float32Array];
        for (let feature = 0; feature < 9; feature++) {
          const sum = w.subarray(feature * 45, (feature + 1) * 45).reduce((total, value) => total + 127 * value, 0);
          expect(Math.abs((values[feature] as number) - sum)).toBeLessThan(1e-2);
        }
        weight.dispose();
      });
    }
  }
});

it('float32 activations, and formats without integers, multiply unpacked weights', async () => {
  const device = await deviceOf(isas[0] as string, 2);
  device.scope(() => {
    const x: Tensor = device.tensor(new Random('plain').normal([4, 64]).data, [4, 64]);
    const floats = device.tensor(new Random('w').normal([10, 64]).data, [10, 64]);
    const half = PackedWeight.fromTensor(floats, 'float16');
    const plain = half.linear(x, null).dataSync();
    half.activations = 'float32';
    expect(half.linear(x, null).dataSync()).toEqual(plain);
    const int8 = PackedWeight.fromTensor(floats, 'int8');
    const rounded = int8.linear(x, null).dataSync();
    int8.activations = 'float32';
    expect(int8.linear(x, null).dataSync()).not.toEqual(rounded);
    half.dispose();
    int8.dispose();
  });
});
