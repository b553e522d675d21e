// Folders of test/data/formats/onnx have their weights only as ONNX. Models get every weight of the original state dict
// and compute what the original computes; from quantized files, what it computes with the dequantized weights.
import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { ArgumentError } from '../../src/core/errors.js';
import { inMemory } from '../../src/io/byte-source.js';
import type { OnnxTensor } from '../../src/io/onnx.js';
import { parseSafetensors, type SafetensorsEntry } from '../../src/io/safetensors.js';
import type { ModelInputs, ModelOutput } from '../../src/models/inputs.js';
import type { PretrainedModel } from '../../src/models/pretrained-model.js';
import { transpose } from '../../src/nn/stored-layout.js';
import { floatsOfBlocks } from '../../src/ops/packed.js';
import { type LoadModelOptions, loadModel } from '../../src/pretrained/load-model.js';
import { graphWeights } from '../../src/pretrained/onnx/graph-weights.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';
import { largest } from '../tolerance.js';

const data = testData('formats/onnx');

interface ExpectedFile {
  readonly weights_not_found?: readonly string[];
  readonly onnxruntime_differs_from_dequantized_model_relatively_by?: Readonly<Record<string, number>>;
}
interface Expected {
  readonly state_dict: Readonly<Record<string, readonly [dtype: string, shape: readonly number[], sha: string]>>;
  readonly files: Readonly<Record<string, ExpectedFile>>;
}

/** The allowed error of float32 against float64, relative to the largest value of each tensor, as in reference.ts. */
const LIMIT = 2e-4;
const SUFFIXES = { fp32: '', fp16: '_fp16', q8: '_quantized', uint8: '_uint8', q4: '_q4', q4f16: '_q4f16' } as const;

const device = await deviceFor(isas.at(-1) as string, 2);
const models: PretrainedModel[] = [];
afterAll(() => {
  for (const model of models) model.dispose();
});

async function load(name: string, options: LoadModelOptions = {}): Promise<PretrainedModel> {
  const onWarning = (warning: string) => expect(warning).toBe('none');
  const model = await loadModel(device, `${data.path}/${name}`, { onWarning, ...options });
  models.push(model);
  return model;
}

type Reference = ReadonlyMap<string, SafetensorsEntry>;

function inputsOf(reference: Reference): ModelInputs {
  const values = (name: string) => {
    const entry = reference.get(`input.${name}`);
    if (entry === undefined) return undefined;
    if (entry.dtype === 'F32') return device.tensor(entry.data(), entry.shape);
    const [rows, length] = entry.shape as [number, number];
    return Array.from({ length: rows }, (_, row) => [...entry.data().slice(row * length, (row + 1) * length)]);
  };
  const inputs = {
    inputIds: values('input_ids'),
    attentionMask: values('attention_mask'),
    tokenTypeIds: values('token_type_ids'),
    decoderInputIds: values('decoder_input_ids'),
    pixelValues: values('pixel_values'),
    inputFeatures: values('input_features'),
  };
  return Object.fromEntries(Object.entries(inputs).filter(([, value]) => value !== undefined)) as ModelInputs;
}

const OUTPUTS: Readonly<Record<string, keyof ModelOutput>> = {
  last_hidden_state: 'lastHiddenState',
  logits: 'logits',
  encoder_last_hidden_state: 'encoderLastHiddenState',
  image_embeds: 'imageEmbeds',
  text_embeds: 'textEmbeds',
  logits_per_image: 'logitsPerImage',
  logits_per_text: 'logitsPerText',
};

/** Compares all outputs whose names begin with `prefix`, where the mask is 1: those of padding mean nothing. */
async function expectOutputs(model: PretrainedModel, reference: Reference, prefix: string, bound = LIMIT) {
  const inputs = inputsOf(reference);
  const output = model.forward(inputs);
  const mask = (inputs.attentionMask as number[][] | undefined)?.flat();
  let compared = 0;
  for (const [name, key] of Object.entries(OUTPUTS)) {
    const entry = reference.get(`${prefix}${name}`);
    if (entry === undefined) continue;
    compared++;
    const values = await (output[key] as { data(): Promise<Float32Array> }).data();
    const expected = entry.data() as Float32Array;
    expect(values.length).toBe(expected.length);
    const width = entry.shape.at(-1)!;
    const isMasked = entry.shape.length === 3 && mask !== undefined && mask.length * width === expected.length;
    const limit = bound * largest(expected);
    for (let i = 0; i < values.length; i++)
      if (!isMasked || mask[Math.floor(i / width)] !== 0)
        expect(Math.abs(values[i]! - expected[i]!), `${name}[${i}]`).toBeLessThan(limit);
  }
  expect(compared).toBeGreaterThan(0);
}

const sha = (values: ArrayBufferView) =>
  createHash('sha256')
    .update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
    .digest('hex');

const folders = readdirSync(data.path, { withFileTypes: true }).flatMap((each) =>
  each.isDirectory() ? [each.name] : [],
);

describe.each(folders)('%s', (name) => {
  it('has the weights of the original state dict, and gives the same results', async () => {
    const { state_dict, files } = await data.json<Expected>(`${name}/expected.json`);
    const lists = Object.entries(files).flatMap(([file, { weights_not_found }]) =>
      /_(quantized|uint8|q4)\./.test(file) || weights_not_found === undefined ? [] : [weights_not_found],
    );
    const isAbsent = (weight: string) => lists.every((list) => list.includes(weight));
    const model = await load(name);
    let compared = 0;
    for (const [key, entry] of Object.entries(model.stateDict())) {
      const expected = state_dict[key] ?? state_dict[key.slice(key.indexOf('.') + 1)];
      if (expected === undefined || isAbsent(key)) continue;
      compared++;
      expect([key, sha(await entry.data())]).toEqual([key, expected[2]]);
    }
    const present = Object.keys(state_dict).filter((key) => !isAbsent(key));
    expect(compared).toBeGreaterThan(0.8 * present.length); // tied weights have one name here
    await expectOutputs(model, parseSafetensors(await data.bytes(`${name}/expected.safetensors`)).tensors, 'original.');
  });
});

const variants = folders.flatMap((name) =>
  Object.entries(SUFFIXES)
    .filter(
      ([dtype, suffix]) => dtype !== 'fp32' && readdirSync(`${data.path}/${name}/onnx`).includes(`model${suffix}.onnx`),
    )
    .map(([dtype, suffix]) => [name, dtype as keyof typeof SUFFIXES, `model${suffix}`] as const),
);

/** The allowed rounding, relative to the largest number of a weight: one step of the format, which has a sign or a zero point. */
const STEPS = { fp16: 2 ** -10, q8: 1 / 100, uint8: 1 / 100, q4: 1 / 7, q4f16: 1 / 7 };

/**
 * The reference left out classifiers, and halves beside numbers of four bits, when it replaced weights by the dequantized
 * ones. Its outputs show then as much as those of onnxruntime, which rounds activations.
 */
const isWhole = (name: string, dtype: string) => dtype !== 'q4f16' && (dtype === 'q4' || !/sequence|vit/.test(name));

/** Compares all weights with those of the file in float32. */
async function expectNear(model: PretrainedModel, original: PretrainedModel, step: number): Promise<void> {
  const exact = original.stateDict();
  for (const [key, entry] of Object.entries(model.stateDict())) {
    if (/pooler/.test(key)) continue; // some files have none
    const [values, expected] = [await entry.data(), (await exact[key]!.data()) as Float32Array];
    const limit = step * largest(expected);
    for (let i = 0; i < values.length; i++)
      expect(Math.abs(values[i]! - expected[i]!), `${key}[${i}]`).toBeLessThanOrEqual(limit);
  }
}

it.each(variants)(
  '%s with dtype %s has the dequantized weights of %s, and computes with them',
  async (name, dtype, file) => {
    const reference = parseSafetensors(await data.bytes(`${name}/expected.safetensors`)).tensors;
    const model = await load(name, { dtype });
    const state = model.stateDict();
    let compared = 0;
    for (const [key, entry] of reference) {
      const weight = key.startsWith(`dequantized.${file}.`) ? key.slice(`dequantized.${file}.`.length) : undefined;
      if (weight === undefined) continue;
      compared++;
      expect([weight, ...(await state[weight]!.data())]).toEqual([weight, ...entry.data()]);
    }
    expect(compared).toBeGreaterThan(0);
    await expectNear(model, await load(name, { dtype: 'fp32' }), STEPS[dtype as keyof typeof STEPS]);
    const { files } = await data.json<Expected>(`${name}/expected.json`);
    const [difference = 0] = Object.values(
      files[`${file}.onnx`]!.onnxruntime_differs_from_dequantized_model_relatively_by ?? {},
    );
    await expectOutputs(model, reference, `dequantized_model.${file}.`, isWhole(name, dtype) ? LIMIT : difference);
  },
);

it.each(variants)("%s with dtype %s computes the same with weights: 'auto'", async (name, dtype) => {
  const inputs = inputsOf(parseSafetensors(await data.bytes(`${name}/expected.safetensors`)).tensors);
  const results = async (options: LoadModelOptions) => {
    const output = (await load(name, { dtype, activations: 'float32', ...options })).forward(inputs);
    return (await (output.logits ?? output.lastHiddenState)!.data()) as Float32Array;
  };
  const expected = await results({ weights: 'float32' });
  // Halves stay halves, and this processor may multiply them with float32 that it has rounded.
  const limit = (dtype === 'fp16' || dtype === 'q4f16' ? 1e-2 : LIMIT) * largest(expected);
  for (const [i, value] of (await results({ weights: 'auto' })).entries())
    expect(Math.abs(value - expected[i]!)).toBeLessThan(limit);
});

it("GPT-2's integers, which are [in, out], stay packed as [out, in]", async () => {
  const [rows, columns] = [32, 6];
  const tensor = (
    name: string,
    dtype: 'I8' | 'F32',
    shape: number[],
    values: Int8Array | Float32Array,
  ): OnnxTensor => ({
    name,
    dtype,
    shape,
    byteLength: values.byteLength,
    position: 0,
    source: inMemory(new Uint8Array(values.buffer as ArrayBuffer)),
  });
  const stem = 'h.0.attn.c_attn.weight';
  const numbers = Int8Array.from({ length: rows * columns }, (_, i) => ((i * 37) % 255) - 127);
  const tensors = [
    tensor(`${stem}_quantized`, 'I8', [rows, columns], numbers),
    tensor(`${stem}_scale`, 'F32', [], Float32Array.of(0.25)),
    tensor(`${stem}_zero_point`, 'I8', [], Int8Array.of(0)),
  ];
  const node = {
    name: '/h.0/attn/c_attn/Gemm_MatMul_quant',
    op: 'MatMulInteger',
    outputs: ['y'],
    attributes: new Map(),
    inputs: ['x', `${stem}_quantized`, 'z', `${stem}_zero_point`],
  };
  const graph = { nodes: [node], tensors: new Map(tensors.map((each) => [each.name, each])) };
  const entry = (await graphWeights(graph, () => undefined)).named.get(stem)!.inOut!();
  expect(entry.shape).toEqual([rows, columns]);
  const stored = entry.blocks?.(device);
  expect(stored).toMatchObject({ format: 'int8', shape: [columns, rows] });
  const bytes = new Uint8Array(columns * (4 + rows));
  await stored!.read(bytes, 0);
  const floats = await floatsOfBlocks(device, 'int8', [columns, rows], bytes);
  expect([...floats]).toEqual([...transpose((await entry.data()) as Float32Array, [rows, columns])]);
});

it.each([
  // The results of ONNX Runtime 1.32 for the matrix 1.
  [
    0,
    [
      0, 0.25, 0.33333334, -0.33333334, 0.16666667, -0.125, 0.125, 0.16666667, -0.0026041667, -0.0026041667, -0.5,
      -0.083333336, -0.083333336, 0.5, 0, 0, 0.8333334, -0.625, 0.625, 0.8333334, 0.3125, 0.3125, -0.006510417,
      -0.4166667, -0.4166667, 0.006510417, -0.20833334, 0.20833334, 0, -1.25, 1.25, 0,
    ],
  ],
  [
    1,
    [
      -0.5, -0.092386715, -0.26253653, 0.12305615, -0.14222069, 0.5, 0, -0.14222069, 0.0804651, 0.0804651, 0.16895762,
      0.36147842, 0.36147842, -0.19745874, -0.5, 0.03979015, -0.6563413, 0.70327127, -0.23096679, -0.6563413, 0, 0,
      0.20116276, 0.5508873, 0.5508873, -0.870241, 0.90369606, -0.11381254, -1.25, 0.42239404, -0.49364686, -1.25,
    ],
  ],
])('MatMulBnb4 of type %i has the values of ONNX Runtime', async (type, expected) => {
  const codes = Uint8Array.from({ length: 16 }, (_, i) => (i * 37 + 5) % 256);
  const scales = new Uint8Array(Float32Array.of(0.5, 1.25).buffer);
  const tensor = (name: string, dtype: 'U8' | 'F32', values: Uint8Array): OnnxTensor => ({
    name,
    dtype,
    shape: [dtype === 'U8' ? 16 : 2],
    byteLength: values.byteLength,
    position: 0,
    source: inMemory(values),
  });
  const stem = 'encoder.query.weight';
  const graph = (attributes: Record<string, number>) => ({
    nodes: [
      {
        name: '/encoder/query/MatMul_Bnb4',
        op: 'MatMulBnb4',
        outputs: ['y'],
        inputs: ['x', `${stem}_Bnb4`, `${stem}_absmax`],
        attributes: new Map(Object.entries(attributes)),
      },
    ],
    tensors: new Map([
      [`${stem}_Bnb4`, tensor(`${stem}_Bnb4`, 'U8', codes)],
      [`${stem}_absmax`, tensor(`${stem}_absmax`, 'F32', scales)],
    ]),
  });
  const read = (attributes: Record<string, number>) => graphWeights(graph(attributes), () => undefined);
  const { named } = await read({ N: 2, K: 16, block_size: 16, quant_type: type });
  expect([...named.keys()]).toEqual([stem]);
  expect(named.get(stem)!.shape).toEqual([2, 16]);
  const values = await named.get(stem)!.data();
  for (const [i, value] of expected.entries()) expect(Math.abs(values[i]! - value)).toBeLessThan(1e-7);
  await expect(read({ N: 2, K: 16, block_size: 8, quant_type: type })).rejects.toThrow(/MatMulBnb4 of \[2, 16\]/);
});

it.each([
  [4, 32],
  [4, 64],
  [8, 32],
])('MatMulNBits with %i bits in blocks of %i stays packed, bit for bit', async (bits, block) => {
  const [rows, columns] = [5, 128];
  const bytes = Uint8Array.from({ length: (rows * columns * bits) / 8 }, (_, i) => (i * 167 + 13) % 256);
  const halves = Uint16Array.from({ length: (rows * columns) / block }, (_, i) => 0x2c00 + 37 * i);
  const tensor = (name: string, dtype: 'U8' | 'F16', shape: number[], values: Uint8Array): OnnxTensor => ({
    name,
    dtype,
    shape,
    byteLength: values.byteLength,
    position: 0,
    source: inMemory(values),
  });
  const stem = 'encoder.query.weight';
  const groups = columns / block;
  const tensors = [
    tensor(`${stem}_Q${bits}`, 'U8', [rows, groups, (block * bits) / 8], bytes),
    tensor(`${stem}_scales`, 'F16', [rows * groups], new Uint8Array(halves.buffer)),
  ];
  const node = (attributes: Record<string, number>) => ({
    name: '/encoder/query/MatMul_Q4',
    op: 'MatMulNBits',
    outputs: ['y'],
    inputs: ['x', `${stem}_Q${bits}`, `${stem}_scales`],
    attributes: new Map(Object.entries(attributes)),
  });
  const graph = {
    nodes: [node({ N: rows, K: columns, block_size: block, bits })],
    tensors: new Map(tensors.map((each) => [each.name, each])),
  };
  const entry = (await graphWeights(graph, () => undefined)).named.get(stem)!;
  const stored = entry.blocks?.(device);
  expect(stored).toMatchObject({ format: bits === 4 ? 'q4_0' : 'q8_0', shape: [rows, columns] });
  const width = (columns / 32) * (2 + 4 * bits);
  const all = new Uint8Array(rows * width);
  await stored!.read(all.subarray(0, 2 * width), 0);
  await stored!.read(all.subarray(2 * width), 2 * width);
  expect([...(await floatsOfBlocks(device, stored!.format, [rows, columns], all))]).toEqual([...(await entry.data())]);
});

it('MatMulNBits with g_idx takes the scale and the zero point of each input from its block', async () => {
  const [rows, columns, block] = [3, 64, 32];
  const codes = Uint8Array.from({ length: (rows * columns) / 2 }, (_, i) => (i * 167 + 13) % 256);
  const scales = Float32Array.from({ length: 2 * rows }, (_, i) => 0.5 + i);
  const zeros = Uint8Array.of(0x37, 0x91, 0x5c); // two of each row, the low half first
  const order = Int32Array.from({ length: columns }, (_, i) => (i * 5) % 2);
  const tensor = (name: string, dtype: OnnxTensor['dtype'], shape: number[], { buffer }: { buffer: ArrayBuffer }) => {
    const bytes = new Uint8Array(buffer);
    return { name, dtype, shape, byteLength: bytes.byteLength, position: 0, source: inMemory(bytes) };
  };
  const stem = 'encoder.query.weight';
  const names = [`${stem}_Q4`, `${stem}_scales`, `${stem}_zero_points`, `${stem}_g_idx`] as const;
  const tensors: OnnxTensor[] = [
    tensor(names[0], 'U8', [rows, columns / block, block / 2], codes),
    tensor(names[1], 'F32', [rows * 2], scales),
    tensor(names[2], 'U8', [rows], zeros),
    tensor(names[3], 'I32', [columns], order),
  ];
  const attributes = new Map(Object.entries({ N: rows, K: columns, block_size: block, bits: 4 }));
  const graph = {
    nodes: [
      { name: '/encoder/query/MatMul_Q4', op: 'MatMulNBits', outputs: ['y'], inputs: ['x', ...names], attributes },
    ],
    tensors: new Map(tensors.map((each) => [each.name, each])),
  };
  const entry = (await graphWeights(graph, () => undefined)).named.get(stem)!;
  const expected = Array.from({ length: rows * columns }, (_, at) => {
    const [row, input] = [Math.floor(at / columns), at % columns];
    const group = order[input]!;
    const code = (codes[at >> 1]! >> (4 * (at & 1))) & 15;
    return (code - ((zeros[row]! >> (4 * group)) & 15)) * scales[2 * row + group]!;
  });
  expect([...(await entry.data())]).toEqual(expected);
  expect(entry.blocks?.(device)).toBeUndefined();
  const wrong = { ...graph, tensors: new Map(graph.tensors).set(names[3], tensor(names[3], 'I32', [9], order)) };
  await expect(graphWeights(wrong, () => undefined)).rejects.toThrow(/g_idx/);
});

it('accepts a variant for each file', async () => {
  const model = await load('whisper', { dtype: { encoder_model: 'uint8', decoder_model: 'fp32' } });
  const reference = parseSafetensors(await data.bytes('whisper/expected.safetensors')).tensors;
  const name = 'model.encoder.conv1.weight';
  const expected = reference.get(`dequantized.encoder_model_uint8.${name}`)!.data();
  expect([...(await model.stateDict()[name]!.data())]).toEqual([...expected]);
});

it('refuses a missing variant, and names those that exist', async () => {
  await expect(load('gpt2', { dtype: 'q4' })).rejects.toThrow(ArgumentError);
  await expect(load('gpt2', { dtype: 'q4' })).rejects.toThrow(
    /no ONNX files for dtype "q4": there is onnx\/model.onnx/,
  );
});

describe('a graph without a part of the model', () => {
  const folder = async (architectures: readonly string[]) => {
    const config = JSON.parse(new TextDecoder().decode(await data.bytes('bert/config.json')));
    return {
      'config.json': new TextEncoder().encode(JSON.stringify({ ...config, architectures })),
      'onnx/model.onnx': await data.bytes('bert/onnx/model.onnx'),
    };
  };

  it('gives no vector that a pooler with random weights would make', async () => {
    const model = await load('bert');
    const { lastHiddenState, poolerOutput } = model.forward({ inputIds: [[1, 2, 3]] });
    expect(lastHiddenState?.shape.slice(0, 2)).toEqual([1, 3]);
    expect(poolerOutput).toBeUndefined();
  });

  it('is refused if config.json names a head that it lacks, but may get a new one', async () => {
    const classifier = await folder(['BertForSequenceClassification']);
    const expected = /the ONNX graph lacks the head sequence-classification \(.*classifier.*head: 'none'/;
    await expect(loadModel(device, classifier)).rejects.toThrow(expected);
    models.push((await loadModel(device, classifier, { head: 'none' })) as PretrainedModel);
    const warnings: string[] = [];
    const onWarning = (warning: string) => warnings.push(warning);
    const options = { head: 'sequence-classification', onWarning } as const;
    models.push((await loadModel(device, await folder(['BertModel']), options)) as PretrainedModel);
    expect(warnings).toEqual([expect.stringMatching(/classifier.*initialized at random/)]);
  });
});

it('a table of embeddings may have the name of the output projection, and the projection none', async () => {
  const floats = (name: string, shape: number[], values: number[]): OnnxTensor => {
    const bytes = new Uint8Array(Float32Array.from(values).buffer);
    return { name, dtype: 'F32', shape, byteLength: bytes.length, position: 0, source: inMemory(bytes) };
  };
  const output = 'cls.predictions.decoder';
  const tensors = [
    floats(`${output}.weight`, [2, 2], [1, 2, 3, 4]),
    floats(`${output}.bias`, [2], [0, 0]),
    floats('val_1', [2, 2], [5, 6, 7, 8]),
  ];
  const node = (name: string, op: string, inputs: string[], result: string) => {
    return { name, op, inputs, outputs: [result], attributes: new Map<string, number>() };
  };
  const graph = {
    nodes: [
      node('/bert/embeddings/word_embeddings/embedding', 'Gather', [`${output}.weight`, 'input_ids'], 'embedding'),
      node('node_MatMul_1', 'MatMul', ['embedding', 'val_1'], 'val_2'),
      node(`/cls/predictions/decoder/linear`, 'Add', ['val_2', `${output}.bias`], 'logits'),
    ],
    tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])),
  };
  const { named } = await graphWeights(graph, () => undefined);
  const valuesOf = async (name: string) => [...(await named.get(name)!.data())];
  expect(await valuesOf('bert.embeddings.word_embeddings.weight')).toEqual([1, 2, 3, 4]);
  expect(await valuesOf(`${output}.weight`)).toEqual([5, 7, 6, 8]);
});
