// Folders of test/data/formats/quantized have weights in the formats of GPTQ, AWQ, compressed-tensors, FP8, bitsandbytes and
// MXFP4. Weights are dequantized to the bits of the libraries, and models compute with them what the original class does.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { afterAll, expect, it } from 'vitest';
import { FormatError } from '../../src/core/errors.js';
import { parseSafetensors, type SafetensorsArray, serializeSafetensors } from '../../src/io/safetensors.js';
import { packedPieces } from '../../src/models/packed-state.js';
import type { PretrainedModel } from '../../src/models/pretrained-model.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { openSource } from '../../src/pretrained/open-source.js';
import { dequantizing } from '../../src/pretrained/quantized/index.js';
import { openWeights } from '../../src/pretrained/weights.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';
import { largest } from '../tolerance.js';

const data = testData('formats/quantized');
const names = Object.keys(await data.json<Record<string, string>>('index.json'));

interface Expected {
  readonly quantization_config: Readonly<Record<string, unknown>>;
  readonly dequantized: Readonly<Record<string, readonly [dtype: string, shape: readonly number[], sha: string]>>;
}

/** The allowed error of float32 against float64, relative to the largest value, as in reference.ts. */
const LIMIT = 2e-4;

const device = await deviceFor(isas.at(-1) as string, 2);
const models: PretrainedModel[] = [];
afterAll(() => {
  for (const model of models) model.dispose();
});

const sha = (values: ArrayBufferView) =>
  createHash('sha256')
    .update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
    .digest('hex');

it.each(names)('%s is dequantized with the bits of its library', async (name) => {
  const { dequantized, quantization_config } = await data.json<Expected>(`${name}/expected.json`);
  const weights = await dequantizing(await openWeights(await openSource(`${data.path}/${name}`)), quantization_config);
  for (const [key, [, shape, expected]] of Object.entries(dequantized)) {
    const entry = weights.tensors.get(key)!;
    expect([key, entry.shape]).toEqual([key, shape]);
    expect([key, sha(await entry.data())]).toEqual([key, expected]);
  }
  // Nothing is left over that is not a weight of the model.
  for (const key of weights.tensors.keys()) expect(key).toMatch(/(weight|bias|sinks|_proj)$/);
  weights.close();
});

it.each(names)('%s gives the results of the original class', async (name) => {
  const reference = parseSafetensors(await data.bytes(`${name}/expected.safetensors`)).tensors;
  const onWarning = (warning: string) => expect.unreachable(warning);
  const model = await loadModel(device, `${data.path}/${name}`, { onWarning });
  models.push(model);
  const rows = (key: string) => {
    const { shape, ...entry } = { shape: reference.get(key)!.shape, values: reference.get(key)!.data() };
    return Array.from({ length: shape[0]! }, (_, row) => [
      ...entry.values.slice(row * shape[1]!, (row + 1) * shape[1]!),
    ]);
  };
  const attentionMask = rows('attention_mask');
  const values = await model.forward({ inputIds: rows('input_ids'), attentionMask }).logits!.data();
  const expected = reference.get('logits')!.data() as Float32Array;
  const width = reference.get('logits')!.shape.at(-1)!;
  const limit = LIMIT * largest(expected);
  for (const [i, value] of values.entries())
    if (attentionMask.flat()[Math.floor(i / width)] !== 0) expect(Math.abs(value - expected[i]!)).toBeLessThan(limit);
});

const KEPT = {
  'gptq-g32-sym': 'q4_0',
  'gptq-8bit': 'q8_0',
  'gptq-v2-asym': 'uint4',
  'awq-g32': 'uint4',
  'awq-g128': 'uint4',
  'ct-int4-group-sym': 'uint4',
  'ct-int4-group-asym': 'uint4',
  'ct-int8-channel': 'int8',
  'ct-int8-packed': 'int8',
  'bnb-int8': 'int8',
};

it.each(Object.entries(KEPT))("%s stays packed as %s with weights: 'auto', bit for bit", async (name, format) => {
  const { dequantized } = await data.json<Expected>(`${name}/expected.json`);
  const model = await loadModel(device, `${data.path}/${name}`, {
    weights: 'auto',
    activations: 'float32',
  });
  models.push(model);
  const pieces = new Map(packedPieces(model).map((piece) => [piece.name, piece]));
  const projections = Object.entries(dequantized).filter(([key]) => /_proj\.weight$/.test(key));
  expect(projections.length).toBeGreaterThan(0);
  for (const [key, [, , expected]] of projections) {
    const piece = pieces.get(key)!;
    expect([key, piece.format, sha(await piece.floats())]).toEqual([key, format, expected]);
  }
});

// The layouts that AutoRound writes are those of GPTQ and AWQ; its config names them in other words.
it.each([
  ['gptq-g32-sym', 'auto_round:auto_gptq'],
  ['gptq-g32-sym', undefined],
  ['gptq-v2-asym', 'auto_round'],
  ['awq-g32', 'auto_round:auto_awq'],
])('the tensors of %s are those of AutoRound in %s', async (name, packing) => {
  const { dequantized, quantization_config } = await data.json<Expected>(`${name}/expected.json`);
  const { bits, group_size, sym = true } = quantization_config;
  const config = { quant_method: 'auto-round', bits, group_size, sym, packing_format: packing };
  const weights = await dequantizing(await openWeights(await openSource(`${data.path}/${name}`)), config);
  for (const [key, [, , expected]] of Object.entries(dequantized))
    expect([key, sha(await weights.tensors.get(key)!.data())]).toEqual([key, expected]);
  weights.close();
});

it('AutoRound in another layout is refused by its name', async () => {
  const files = changed('gptq-g32-sym', { quant_method: 'auto-round', packing_format: 'auto_round:marlin' });
  await expect(loadModel(device, files)).rejects.toThrow(/AutoRound in "auto_round:marlin" is not read/);
});

it("a file that is wrongly marked as symmetric is refused, but only with weights: 'auto'", async () => {
  const files = changed('gptq-v2-asym', { sym: true });
  await expect(loadModel(device, files, { weights: 'auto' })).rejects.toThrow(/zero point .* weights: 'float32'/);
  models.push(await loadModel(device, files));
});

/** A folder with another config, or other tensors. */
function changed(name: string, config: object, tensors: Readonly<Record<string, SafetensorsArray | null>> = {}) {
  const read = (file: string) => readFileSync(`${data.path}/${name}/${file}`);
  const given = parseSafetensors(read('model.safetensors')).tensors;
  const all = new Map<string, SafetensorsArray>();
  for (const [key, entry] of given) all.set(key, { dtype: entry.dtype, shape: entry.shape, data: entry.bytes() });
  for (const [key, tensor] of Object.entries(tensors)) if (tensor === null) all.delete(key);
  for (const [key, tensor] of Object.entries(tensors)) if (tensor !== null) all.set(key, tensor);
  const json = JSON.parse(read('config.json').toString());
  const quantization_config = { ...json.quantization_config, ...config };
  return {
    'config.json': new TextEncoder().encode(JSON.stringify({ ...json, quantization_config })),
    'model.safetensors': serializeSafetensors(all),
  };
}

const q = 'model.layers.0.self_attn.q_proj';

it.each<[string, ReturnType<typeof changed>, RegExp]>([
  [
    'an unknown method',
    changed('gptq-g32-sym', { quant_method: 'aqlm' }),
    /quant_method "aqlm" is not read, expected gptq, awq/,
  ],
  ['GPTQ with 5 bits', changed('gptq-g32-sym', { bits: 5 }), /GPTQ with 5 bits/],
  ['AWQ for Marlin', changed('awq-g32', { version: 'marlin' }), /version marlin is not read/],
  [
    'missing scales',
    changed('gptq-g32-sym', {}, { [`${q}.scales`]: null }),
    /"model.layers.0.self_attn.q_proj.scales" .* missing/,
  ],
  [
    'scales of another size',
    changed(
      'ct-int8-channel',
      {},
      { [`${q}.weight_scale`]: { dtype: 'F32', shape: [3, 1], data: new Float32Array(3) } },
    ),
    /scales of .* are \[3, 1\]/,
  ],
  [
    'a group that is not there',
    changed('gptq-g32-sym', {}, { [`${q}.g_idx`]: { dtype: 'I32', shape: [64], data: new Int32Array(64).fill(9) } }),
    /g_idx of .* has group 9/,
  ],
  [
    'a state that is not JSON',
    changed(
      'bnb-nf4',
      {},
      { [`${q}.weight.quant_state.bitsandbytes__nf4`]: { dtype: 'U8', shape: [1], data: Uint8Array.of(1) } },
    ),
    /quant_state of .* not JSON/,
  ],
])('refuses %s', async (_, files, message) => {
  const loading = loadModel(device, files);
  await expect(loading).rejects.toThrow(FormatError);
  await expect(loading).rejects.toThrow(message);
});

it('is saved in its format in memory', async () => {
  const model = await loadModel(device, `${data.path}/gptq-g32-sym`);
  models.push(model);
  expect(model.origin?.config).not.toHaveProperty('quantization_config');
});

/** The files of a folder whose description of quantized weights is in another place, or absent. */
function moved(name: string, move: (quantization: object) => Record<string, object>) {
  const files = changed(name, {});
  const { quantization_config, ...json } = JSON.parse(new TextDecoder().decode(files['config.json']));
  const others = Object.entries(move(quantization_config)).map(([file, content]) => {
    const all = file === 'config.json' ? { ...json, ...content } : content;
    return [file, new TextEncoder().encode(JSON.stringify(all))];
  });
  const config = new TextEncoder().encode(JSON.stringify(json));
  return { ...files, 'config.json': config, ...Object.fromEntries(others) } as Record<string, Uint8Array<ArrayBuffer>>;
}

it.each<[string, string, Parameters<typeof moved>[1]]>([
  ['quantize_config.json', 'gptq-g32-sym', (given) => ({ 'quantize_config.json': given })],
  [
    'quant_config.json of AutoAWQ',
    'awq-g32',
    () => ({ 'quant_config.json': { zero_point: true, q_group_size: 32, w_bit: 4, version: 'GEMM' } }),
  ],
  ['text_config', 'awq-g32', (given) => ({ 'config.json': { text_config: { quantization_config: given } } })],
  ['compression_config', 'ct-int8-channel', (given) => ({ 'config.json': { compression_config: given } })],
  [
    'quantization_config without a method',
    'bnb-nf4',
    () => ({ 'config.json': { quantization_config: { load_in_4bit: true } } }),
  ],
])('the description may be in %s', async (_, name, move) => {
  const model = await loadModel(device, moved(name, move));
  const original = await loadModel(device, `${data.path}/${name}`);
  models.push(model, original);
  const [found, expected] = [model, original].map((each) => each.forward({ inputIds: [[5, 6, 7]] }).logits!);
  expect(await found!.data()).toEqual(await expected!.data());
  expect(JSON.stringify(model.origin?.config)).not.toContain('quant');
});

it.each(['gptq-g32-sym', 'bnb-nf4', 'bnb-int8', 'fp8-block32', 'ct-int4-group-sym'])(
  '%s without a description, or with that of another method, is refused',
  async (name) => {
    const message = /is part of a quantized weight, but config.json has no quantization_config/;
    await expect(
      loadModel(
        device,
        moved(name, () => ({})),
      ),
    ).rejects.toThrow(message);
    const other = { quantization_config: { quant_method: 'mxfp4' } };
    const loading = loadModel(
      device,
      moved(name, () => ({ 'config.json': other })),
    );
    await expect(loading).rejects.toThrow(/without a scale|is not of the quant_method and format/);
  },
);
