// Packed weights as operands: what they unpack to is the truth here, and ggml's own numbers that of unpacking.
import { describe, expect, it } from 'vitest';
import type { Device, Tensor } from '../../src/index.js';
import { Embedding, Initializer, Linear, PackedWeight } from '../../src/nn/index.js';
import { packedModule } from '../../src/nn/packed-modules.js';
import { readRows, rowsIn } from '../../src/nn/packed-rows.js';
import { add, embedding, gelu, matmul, mul, sum, transpose } from '../../src/ops/index.js';
import { deviceFor, isas } from '../describe-op.js';
import { Random } from '../random.js';
import { testData } from '../test-data.js';
import { anyBlocks, type FileFormat, formats } from './any-blocks.js';

/** Within `bound` of the largest. */
function expectClose(given: Tensor, wanted: Tensor, bound = 1e-5): void {
  expect(given.shape).toEqual(wanted.shape);
  const [values, expected] = [Array.from(given.dataSync()), Array.from(wanted.dataSync())];
  const max = bound * expected.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0);
  const at = values.findIndex((value, i) => !(Math.abs(value - (expected[i] as number)) <= max));
  if (at >= 0) expect.fail(`element ${at} is ${values[at]}, expected ${expected[at]} within ${max}`);
}

function normal(device: Device, random: Random, ...shape: number[]): Tensor {
  return device.tensor(random.normal(shape).data, shape);
}

function fromBlocks(device: Device, random: Random, format: FileFormat, rows: number, cols: number): PackedWeight {
  const weight = PackedWeight.fromBlocks(device, format, [rows, cols], anyBlocks(random, format, rows, cols));
  weight.activations = 'float32';
  return weight;
}

describe.each(isas)('packed weights, %s', (isa) => {
  it.each(formats)('%s: a product equals that of the unpacked weight', async (format) => {
    const device = await deviceFor(isa, 2);
    const random = new Random(`product ${format}`);
    for (const [rows, out, inputs] of [
      [1, 16, 256],
      [3, 5, 256],
      [40, 50, 768],
    ] as const) {
      device.scope(() => {
        const weight = fromBlocks(device, random, format, out, inputs);
        const [x, bias] = [normal(device, random, rows, inputs), normal(device, random, out)];
        const expected = gelu(add(matmul(x, weight.unpack(), { transposeB: true }), bias));
        expectClose(weight.linear(x, bias, { activation: 'gelu' }), expected);
        const ids = device.tensor(Int32Array.of(out - 1, 0, 3));
        expectClose(weight.embedding(ids, { scale: 2 }), embedding(weight.unpack(), ids, { scale: 2 }), 0);
        weight.dispose();
      });
    }
  });
});

it.each(formats)('%s: returns the blocks unchanged, beginning at any row', async (format) => {
  const device = await deviceFor(isas[0] as string, 2);
  const random = new Random(`blocks ${format}`);
  const bytes = anyBlocks(random, format, 37, 512);
  const weight = PackedWeight.fromBlocks(device, format, [37, 512], bytes);
  const rowBytes = bytes.length / 37;
  expect(await readRows(rowsIn(weight, 0, 37))).toEqual(bytes);
  expect(await readRows(rowsIn(weight, 5, 36))).toEqual(bytes.subarray(5 * rowBytes, 36 * rowBytes));
  weight.dispose();
});

it.each(['int8', 'q8_0', 'q4_0', 'q4_1'] as const)('%s: blocks of rows that they do not fill', async (format) => {
  const device = await deviceFor(isas[0] as string, 2);
  const before = device.memory().used;
  const x = normal(device, new Random(`padded ${format}`), 21, 45);
  const weight = PackedWeight.fromTensor(x, format);
  const bytes = await readRows(rowsIn(weight, 0, 21));
  const rowBytes = bytes.length / 21;
  const read = (buffer: Uint8Array, from: number) => buffer.set(bytes.subarray(from, from + buffer.length));
  const again = await PackedWeight.readBlocks(device, format, [21, 45], read, { padded: true });
  device.scope(() => {
    expect(again.unpack().dataSync()).toEqual(weight.unpack().dataSync());
  });
  expect(rowBytes).toBe({ int8: 4 + 64, q8_0: 68, q4_0: 36, q4_1: 40 }[format]);
  for (const each of [x, weight, again]) each.dispose();
  expect(device.memory().used).toBe(before);
});

it.each(isas)('%s: a few rows of float16 have the same bits as in a batch', async (isa) => {
  const device = await deviceFor(isa, 2);
  for (const format of ['float16', 'bfloat16'] as const) {
    device.scope(() => {
      const random = new Random(`few ${format}`);
      const [out, inputs] = [150, 1100];
      const weight = PackedWeight.fromTensor(normal(device, random, out, inputs), format);
      const [x, bias] = [normal(device, random, 40, inputs), normal(device, random, out)];
      const all = weight.linear(x, bias, { activation: 'gelu' });
      for (const count of [1, 2, 4, 5]) {
        const few = weight.linear(x.rows(7, 7 + count), bias, { activation: 'gelu' });
        expect(few.dataSync()).toEqual(all.rows(7, 7 + count).dataSync());
      }
      weight.dispose();
    });
  }
});

it('gradients pass through a packed weight to inputs and bias', async () => {
  const device = await deviceFor(isas[0] as string, 2);
  const random = new Random('gradients');
  device.scope(() => {
    const [rows, out, inputs] = [7, 1100, 64];
    const weight = PackedWeight.fromTensor(normal(device, random, out, inputs), 'q4_1');
    weight.activations = 'float32';
    const given = [normal(device, random, rows, inputs), normal(device, random, out)] as const;
    const upstream = normal(device, random, rows, out);
    const gradients = (compute: (x: Tensor, bias: Tensor) => Tensor) => {
      const [x, bias] = given.map((tensor) => {
        const leaf = add(tensor, 0).detach();
        leaf.requiresGrad = true;
        return leaf;
      }) as [Tensor, Tensor];
      sum(mul(compute(x, bias), upstream)).backward();
      return [x.grad as Tensor, bias.grad as Tensor] as const;
    };
    const packed = gradients((x, bias) => weight.linear(x, bias, { activation: 'gelu' }));
    const plain = gradients((x, bias) => gelu(add(matmul(x, weight.unpack(), { transposeB: true }), bias)));
    for (const i of [0, 1] as const) expectClose(packed[i], plain[i]);
    weight.dispose();
  });
});

it('parts of a joined weight have different formats, and sections can be computed separately', async () => {
  const device = await deviceFor(isas[0] as string, 2);
  const random = new Random('joined');
  device.scope(() => {
    const weight = PackedWeight.join([
      fromBlocks(device, random, 'q4_k', 20, 256),
      fromBlocks(device, random, 'q6_k', 12, 256),
    ]);
    expect(weight.format).toBe('q4_k+q6_k');
    expect(weight.shape).toEqual([32, 256]);
    const x = normal(device, random, 3, 256);
    const expected = matmul(x, transpose(weight.unpack()));
    expectClose(weight.linear(x, null), expected);
    for (const [start, end] of [
      [16, 20],
      [0, 32],
      [20, 31],
      [3, 25],
    ] as const)
      expectClose(weight.linearPart(x, start, end, null), expected.columns(start, end));
    weight.dispose();
  });
});

it.each(['float16', 'int8', 'q8_0', 'q4_0'] as const)(
  '%s: a section has its bits inside a tile, too',
  async (format) => {
    const device = await deviceFor(isas.at(-1) as string, 2);
    device.scope(() => {
      const random = new Random(`section ${format}`);
      const floats = normal(device, random, 72, 40);
      const [whole, alone] = [floats, floats.rows(24, 48)].map((each) => PackedWeight.fromTensor(each, format));
      const upstream = normal(device, random, 5, 24);
      const [x, bias] = [normal(device, random, 5, 40), normal(device, random, 24)];
      const results = [
        (input: Tensor, b: Tensor) => whole!.linearPart(input, 24, 48, b, { activation: 'gelu' }),
        (input: Tensor, b: Tensor) => alone!.linear(input, b, { activation: 'gelu' }),
      ].map((compute) => {
        const leaves = [x, bias].map((tensor) => {
          const leaf = add(tensor, 0).detach();
          leaf.requiresGrad = true;
          return leaf;
        }) as [Tensor, Tensor];
        const y = compute(...leaves);
        sum(mul(y, upstream)).backward();
        return { y, grads: leaves.map(({ grad }) => grad as Tensor) };
      });
      expect(add(results[0]!.y, 0).dataSync()).toEqual(results[1]!.y.dataSync());
      for (const i of [0, 1]) expectClose(results[0]!.grads[i]!, results[1]!.grads[i]!);
      for (const weight of [whole, alone]) weight!.dispose();
    });
  },
);

it('refuses values that are not weights, by name', async () => {
  const device = await deviceFor(isas[0] as string, 1);
  const bytes = new Uint8Array(18);
  expect(() => PackedWeight.fromBlocks(device, 'q9_0', [1, 256], bytes)).toThrow(/"q9_0", expected one of/);
  expect(() => PackedWeight.fromBlocks(device, 'q4_k', [1, 32], bytes)).toThrow(
    /32 inputs, expected a multiple of 256/,
  );
  expect(() => PackedWeight.fromBlocks(device, 'q4_0', [2, 32], bytes)).toThrow(/18 bytes, expected 36/);
  expect(() => PackedWeight.fromTensor(device.zeros([32, 32]), 'q6_k')).toThrow(/"q6_k", expected one of/);
});

it('modules accept packed weights, which are not parameters, and free them', async () => {
  const device = await deviceFor(isas[0] as string, 1);
  const before = device.memory().used;
  const init = new Initializer(device, 1);
  const floats = [new Linear(init, 32, 48), new Embedding(init, 20, 32)];
  const parts = floats.map((part) => {
    const packed = packedModule(part, PackedWeight.fromTensor(part.weight, 'q8_0', part instanceof Linear));
    part.weight.dispose();
    return packed;
  });
  expect(parts.flatMap((part) => part.namedParameters().map(([name]) => name))).toEqual(['bias']);
  expect(parts.map(({ weight }) => weight.shape)).toEqual([
    [48, 32],
    [20, 32],
  ]);
  for (const part of parts) part.dispose();
  expect(device.memory().used).toBe(before);
});

describe('unpacking', async () => {
  const data = testData('checkpoints/ggml-quant-vectors');
  interface Vectors {
    types: Record<string, { bytes_b64: string; dequant_b64_f32: string }>;
  }
  const { types } = await data.json<Vectors>('vectors.json');
  const decoded = (text: string) => Uint8Array.from(atob(text), (char) => char.charCodeAt(0));
  it.each(formats.filter((format) => /^q/.test(format)))('gives the bits of ggml, %s', async (format) => {
    const [, given] = Object.entries(types).find(([name]) => name.toLowerCase() === format) as [
      string,
      Vectors['types'][string],
    ];
    const expected = new Float32Array(decoded(given.dequant_b64_f32).buffer);
    for (const isa of isas) {
      const device = await deviceFor(isa, 1);
      const weight = PackedWeight.fromBlocks(device, format, [1, expected.length], decoded(given.bytes_b64));
      const values = device.scope(() => weight.unpack().dataSync());
      expect(values.every((value, i) => value === expected[i])).toBe(true);
      weight.dispose();
    }
  });
});
