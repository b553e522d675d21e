// Layouts of quantized weights that test/data has no folder of, packed here as their libraries pack them.
import { expect, it } from 'vitest';
import { FormatError } from '../../src/core/errors.js';
import { type SafetensorsArray, serializeSafetensors } from '../../src/io/safetensors.js';
import { openSource } from '../../src/pretrained/open-source.js';
import { dequantizing } from '../../src/pretrained/quantized/index.js';
import { openWeights } from '../../src/pretrained/weights.js';
import { deviceFor, isas } from '../describe-op.js';

const device = await deviceFor(isas.at(-1) as string, 1);
const NAME = 'model.layers.0.self_attn.q_proj';

type Config = Readonly<Record<string, unknown>>;
type Tensors = Readonly<Record<string, SafetensorsArray>>;

/** The only weight of a folder with these tensors of NAME. */
async function weightOf(config: Config, tensors: Tensors) {
  const named = Object.entries(tensors).map(([key, tensor]) => [`${NAME}.${key}`, tensor] as const);
  const files = { 'model.safetensors': serializeSafetensors(new Map(named)) };
  const { tensors: all, close } = await dequantizing(await openWeights(await openSource(files)), config);
  expect([...all.keys()]).toEqual([`${NAME}.weight`]);
  const weight = all.get(`${NAME}.weight`)!;
  const { format } = weight.blocks?.(device) ?? {};
  const found = { shape: weight.shape, floats: [...((await weight.data()) as Float32Array)], format };
  close();
  return found;
}

const i32 = (shape: number[], data: ArrayLike<number>) =>
  ({ dtype: 'I32', shape, data: Int32Array.from(data) }) as const;
const f32 = (shape: number[], data: ArrayLike<number>) =>
  ({ dtype: 'F32', shape, data: Float32Array.from(data) }) as const;
const bytes = (dtype: 'U8' | 'F8_E4M3', shape: number[], data: ArrayLike<number>) =>
  ({ dtype, shape, data: Uint8Array.from(data) }) as const;

/** Whole numbers below `limit` in an irregular order. */
const numbers = (count: number, limit: number, seed = 7) =>
  Array.from({ length: count }, (_, i) => ((i + seed) * 7919 + ((i * i) % 97)) % limit);

/** Rows of codes, each in words of 32 bits from their low bits on. */
function words(codes: readonly number[], columns: number, bits: number): number[] {
  const width = Math.ceil((columns * bits) / 32);
  const all = new Int32Array((codes.length / columns) * width);
  for (const [i, code] of codes.entries())
    for (let bit = 0; bit < bits; bit++) {
      const at = (i % columns) * bits + bit;
      all[Math.floor(i / columns) * width + (at >> 5)]! |= ((code >> bit) & 1) << (at & 31);
    }
  return [...all];
}

const transposed = <T>(values: readonly T[], columns: number) => {
  const rows = values.length / columns;
  return Array.from(values, (_, i) => values[(i % rows) * columns + Math.floor(i / rows)]!);
};

/** A matrix [32, 64] in groups of 32 inputs: codes, scales that are powers of two, and zero points. */
function matrix(bits: number, middle = false) {
  const [rows, inputs, groups] = [32, 64, 2];
  const codes = numbers(rows * inputs, 2 ** bits);
  const scales = numbers(rows * groups, 5).map((n) => 2 ** (n - 3));
  const zeros = numbers(rows * groups, 2 ** bits - 1, 3).map((n) => (middle ? 2 ** (bits - 1) : n + 1));
  const floats = codes.map((code, i) => {
    const group = Math.floor(i / inputs) * groups + Math.floor((i % inputs) / 32);
    return (code - zeros[group]!) * scales[group]!;
  });
  return { rows, inputs, groups, codes, scales, zeros, floats };
}

const gptq = (bits: number, offset: number, middle = false) => {
  const { codes, scales, zeros, floats } = matrix(bits, middle);
  const stored = zeros.map((zero) => zero - offset);
  const tensors = {
    qweight: i32([2 * bits, 32], transposed(words(codes, 64, bits), 2 * bits)),
    qzeros: i32([2, bits], words(transposed(stored, 2), 32, bits)),
    scales: f32([2, 32], transposed(scales, 2)),
  };
  return { tensors, floats };
};

it('AWQ gemv has codes in order, and rows of scales that are filled up', async () => {
  const { codes, scales, zeros, floats } = matrix(4);
  const wide = (values: readonly number[]) =>
    Array.from({ length: 32 * 32 }, (_, i) => (i % 32 < 2 ? values[Math.floor(i / 32) * 2 + (i % 32)]! : 0));
  const tensors = {
    qweight: i32([32, 8], words(codes, 64, 4)),
    qzeros: i32([32, 4], words(wide(zeros), 32, 4)),
    scales: f32([32, 32], wide(scales)),
  };
  const config = { quant_method: 'awq', bits: 4, group_size: 32, version: 'GEMV' };
  expect(await weightOf(config, tensors)).toEqual({ shape: [32, 64], floats, format: 'uint4' });
  await expect(weightOf({ ...config, group_size: 1 }, tensors)).rejects.toThrow(/do not fit 64 inputs in groups of 1/);
});

/** Codes [32, 64] as AutoAWQ packs them for its fast kernels. */
function fast(codes: readonly number[]): Int16Array {
  // Pairs of a row of 32, in the order of AutoAWQ's reshape(4, 4, 2).transpose(1, 0, 2), then eights as (4, 2) transposed.
  const paired = Array.from({ length: 32 }, (_, i) => ((i >> 1) & 3) * 8 + (i >> 3) * 2 + (i & 1));
  const order = Array.from({ length: 32 }, (_, i) => paired[(i & ~7) + 2 * (i & 3) + ((i >> 2) & 1)]!);
  const mixed = Array.from({ length: 32 * 64 }, (_, i) => {
    const [four, at] = [Math.floor(i / 256), i % 256];
    const input = at % 64;
    return codes[(four * 4 + Math.floor(at / 64)) * 64 + (input & 32) + order[input & 31]!]!;
  });
  return Int16Array.from({ length: 512 }, (_, i) =>
    [0, 1, 2, 3].reduce((word, j) => word | (mixed[4 * i + j]! << (4 * j)), 0),
  );
}

it.each([
  ['qzeros', { version: 'gemv_fast', bits: 4, group_size: 32 }],
  ['scaled_zeros', { backend: 'llm-awq', version: 'gemm', w_bit: 4, q_group_size: 32 }],
])('AWQ for fast kernels has mixed rows, and zero points as floats in %s', async (name, config) => {
  const { codes, scales, zeros, floats } = matrix(4);
  const tall = (values: readonly number[]) => [...transposed(values, 2), ...new Array<number>(30 * 32).fill(0)];
  const tensors = {
    qweight: { dtype: 'I16', shape: [8, 64], data: fast(codes) } as const,
    scales: f32([32, 32], tall(scales)),
    [name]: f32([32, 32], tall(zeros.map((zero, i) => -zero * scales[i]!))),
  };
  expect(await weightOf({ quant_method: 'awq', ...config }, tensors)).toEqual({ shape: [32, 64], floats });
});

it.each([
  [5, 1, 'auto_round:auto_gptq'],
  [6, 0, 'auto_round:gptqmodel'],
  [7, 0, 'auto_round'],
  [3, 1, undefined],
])('AutoRound with %d bits, less %d in zero points, has the layout %s', async (bits, offset, packing_format) => {
  const { tensors, floats } = gptq(bits, offset);
  const config = { quant_method: 'auto-round', bits, group_size: 32, sym: false, packing_format };
  expect(await weightOf(config, tensors)).toMatchObject({ floats });
  await expect(weightOf({ ...config, quant_method: 'gptq', bits: 5 }, tensors)).rejects.toThrow(/GPTQ with 5 bits/);
});

it('a module of a symmetric GPTQ file may be asymmetric', async () => {
  const { tensors, floats } = gptq(4, 1);
  const dynamic = { '+:.*q_proj': { sym: false } };
  const config = { quant_method: 'gptq', bits: 8, group_size: 32, sym: true, dynamic };
  expect(await weightOf(config, tensors)).toEqual({ shape: [32, 64], floats, format: 'uint4' });
});

it('GPTQ with desc_act stays packed if its groups are static', async () => {
  const { tensors, floats } = gptq(4, 1);
  const config = { quant_method: 'gptq', bits: 4, group_size: 32, sym: false, desc_act: true, static_groups: true };
  const order = Array.from({ length: 64 }, (_, input) => input >> 5);
  expect(await weightOf(config, { ...tensors, g_idx: i32([64], order) })).toEqual({
    shape: [32, 64],
    floats,
    format: 'uint4',
  });
  const found = await weightOf(config, { ...tensors, g_idx: i32([64], order.reverse()) });
  expect(found).toMatchObject({ format: undefined });
});

/** Values of float8: 2 ** exponent. */
const powers = (count: number) => numbers(count, 9).map((n) => ({ code: (n + 3) << 3, value: 2 ** (n - 4) }));

it.each([
  ['weight_scale_inv', 'fp8'],
  ['scale', 'fp8'],
  ['qscale_weight', 'fp8'],
  ['weight_scale', 'fbgemm_fp8'],
])('a weight of float8 has its scale in %s', async (suffix, quant_method) => {
  const values = powers(8 * 8);
  const weight = bytes(
    'F8_E4M3',
    [8, 8],
    values.map(({ code }) => code),
  );
  const tensors = { weight, [suffix]: f32([2, 2], [1, 2, 4, 8]), k_scale: f32([1], [1]) };
  const { floats } = await weightOf({ quant_method, weight_block_size: [4, 4] }, tensors);
  const scales = [1, 2, 4, 8];
  expect(floats).toEqual(values.map(({ value }, i) => value * scales[2 * (i >> 5) + ((i >> 2) & 1)]!));
});

it('a weight of float8 without a scale is refused', async () => {
  const weight = bytes('F8_E4M3', [8, 8], new Array(64).fill(8));
  const reading = weightOf({ quant_method: 'fp8' }, { weight, scaling: f32([1], [2]) });
  await expect(reading).rejects.toThrow(FormatError);
  await expect(reading).rejects.toThrow(/q_proj.weight" is F8_E4M3 without a scale/);
});

it.each([
  ['mxfp8', {}],
  ['auto-round', { packing_format: 'auto_round:llm_compressor' }],
])('MXFP8 of %s has exponents for 32 inputs', async (quant_method, config) => {
  const values = powers(2 * 64);
  const weight = bytes(
    'F8_E4M3',
    [2, 64],
    values.map(({ code }) => code),
  );
  const name = quant_method === 'mxfp8' ? 'weight_scale_inv' : 'weight_scale';
  const tensors = { weight, [name]: bytes('U8', [2, 2], [127, 128, 126, 130]) };
  const { floats } = await weightOf({ quant_method, ...config }, tensors);
  expect(floats).toEqual(values.map(({ value }, i) => value * [1, 2, 0.5, 8][i >> 5]!));
});

it('compressed-tensors has MXFP6, and groups whose format is null', async () => {
  const codes = numbers(2 * 64, 64);
  const packed = new Uint8Array(new Int32Array(words(codes, 64, 6)).buffer);
  const tensors = {
    weight_packed: bytes('U8', [2, 48], packed),
    weight_scale: bytes('U8', [2, 2], [127, 128, 126, 130]),
  };
  const config = {
    quant_method: 'compressed-tensors',
    format: 'mxfp6-pack-quantized',
    config_groups: { group_0: { format: null, weights: { num_bits: 6, type: 'float', group_size: 32 } } },
  };
  const { floats } = await weightOf(config, tensors);
  // E2M3 of OCP Microscaling Formats 1.0: subnormal eighths, then (1 + m / 8) · 2 ** (e - 1).
  const magnitude = (code: number) => (code < 8 ? code / 8 : (1 + (code & 7) / 8) * 2 ** ((code >> 3) - 1));
  const value = (code: number) => (code & 32 ? -1 : 1) * magnitude(code & 31);
  expect(floats.map((each) => each + 0)).toEqual(codes.map((code, i) => value(code) * [1, 2, 0.5, 8][i >> 5]! + 0));
});
