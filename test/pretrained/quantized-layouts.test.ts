// Weights in GPTQ's format are [out, in]. GPT-2 stores its own as [in, out], and GPT-NeoX and BLOOM store the rows of
// queries, keys and values head by head. Each model must compute what it computes from a folder with the same values.
import { expect, it } from 'vitest';
import { parseSafetensors, type SafetensorsArray, serializeSafetensors } from '../../src/io/safetensors.js';
import type { PretrainedModel } from '../../src/models/pretrained-model.js';
import { packables } from '../../src/models/quantize.js';
import { transpose } from '../../src/nn/stored-layout.js';
import { PackedWeight } from '../../src/nn/weight.js';
import { type LoadedModel, loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';
import { largest } from '../tolerance.js';

const device = await deviceFor(isas.at(-1) as string, 2);

/** A matrix of integers of 8 bits, one scale for each output, and the floats that they stand for. */
function quantized(values: Float32Array, [rows, inputs]: readonly [number, number]) {
  const words = new Int32Array((inputs / 4) * rows);
  const scales = new Float32Array(rows);
  const floats = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    const own = values.subarray(row * inputs, (row + 1) * inputs);
    const scale = Math.fround(Math.max(...own.map(Math.abs)) / 127);
    scales[row] = scale;
    for (const [i, value] of own.entries()) {
      const code = Math.round(value / scale);
      floats[row * inputs + i] = code * scale;
      const word = (i >> 2) * rows + row;
      words[word] = (words[word] as number) | ((code + 128) << (8 * (i & 3)));
    }
  }
  const zeros = new Int32Array(rows / 4).fill(0x7f7f7f7f); // each less one
  const stored: Record<string, SafetensorsArray> = {
    qweight: { dtype: 'I32', shape: [inputs / 4, rows], data: words },
    qzeros: { dtype: 'I32', shape: [1, rows / 4], data: zeros },
    scales: { dtype: 'F32', shape: [1, rows], data: scales },
  };
  return { stored, floats };
}

const SETTINGS = { quant_method: 'gptq', bits: 8, group_size: -1, sym: true, desc_act: false };

it.each([
  ['gpt2', 'reference', /\.(c_attn|c_proj|c_fc)\.weight$/],
  ['gpt-neox', 'reference', /\.(query_key_value|dense|dense_h_to_4h|dense_4h_to_h)\.weight$/],
  ['bloom', 'reference3', /\.(query_key_value|dense|dense_h_to_4h|dense_4h_to_h)\.weight$/],
] as const)('%s', async (name, folder, matrices) => {
  const data = testData(folder);
  const config = await data.json<Record<string, unknown>>(`${name}/config.json`);
  const packed = new Map<string, SafetensorsArray>();
  const plain = new Map<string, SafetensorsArray>();
  for (const [key, entry] of parseSafetensors(await data.bytes(`${name}/model.safetensors`)).tensors) {
    const { dtype, shape } = entry;
    const array: SafetensorsArray = { dtype, shape, data: entry.bytes() };
    if (!matrices.test(key)) {
      packed.set(key, array);
      plain.set(key, array);
      continue;
    }
    const isInOut = name === 'gpt2';
    const values = entry.data() as Float32Array;
    const [rows, inputs] = (isInOut ? [...shape].reverse() : shape) as [number, number];
    const { stored, floats } = quantized(isInOut ? transpose(values, shape) : values, [rows, inputs]);
    for (const [part, tensor] of Object.entries(stored)) packed.set(key.replace(/weight$/, part), tensor);
    plain.set(key, { dtype: 'F32', shape, data: isInOut ? transpose(floats, [rows, inputs]) : floats });
  }
  const load = (tensors: Map<string, SafetensorsArray>, settings: object, weights: 'float32' | 'auto') => {
    const files = {
      'config.json': new TextEncoder().encode(JSON.stringify({ ...config, ...settings })),
      'model.safetensors': serializeSafetensors(tensors),
    };
    return loadModel<LoadedModel>(device, files, { weights, activations: 'float32' });
  };
  const inputIds = [[5, 9, 14, 3, 22, 7]];
  const logits = async (model: PretrainedModel) => (await model.forward({ inputIds }).logits!.data()) as Float32Array;
  using reference = await load(plain, {}, 'float32');
  const expected = await logits(reference);
  using unpacked = await load(packed, { quantization_config: SETTINGS }, 'float32');
  expect(await logits(unpacked)).toEqual(expected);
  using kept = await load(packed, { quantization_config: SETTINGS }, 'auto');
  const formats = packables(kept).flatMap(({ weight }) => (weight instanceof PackedWeight ? [weight.format] : []));
  expect(formats).toContain('int8');
  const limit = 1e-5 * largest(expected);
  for (const [i, value] of (await logits(kept)).entries()) expect(Math.abs(value - expected[i]!)).toBeLessThan(limit);
});
