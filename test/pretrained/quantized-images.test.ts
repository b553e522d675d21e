// Qwen2-VL whose language model is quantized and whose image encoder is not, as GPTQ, AWQ, bitsandbytes, FP8 and
// compressed-tensors write it. The quantized tensors are those of test/data/formats/quantized.
import { expect, it } from 'vitest';
import { parseSafetensors, type SafetensorsArray, serializeSafetensors } from '../../src/io/safetensors.js';
import { packedPieces } from '../../src/models/packed-state.js';
import { type LoadedModel, loadModel } from '../../src/pretrained/load-model.js';
import { openSource } from '../../src/pretrained/open-source.js';
import { dequantizing } from '../../src/pretrained/quantized/index.js';
import { openWeights } from '../../src/pretrained/weights.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';
import { weights } from './variant.js';

type Tensors = Map<string, SafetensorsArray>;
type Quantization = Readonly<Record<string, unknown>>;

const data = testData('formats/quantized');
const device = await deviceFor(isas.at(-1) as string, 2);

const linear = (name: string, out: number, inputs: number): Record<string, number[]> => ({
  [`${name}.weight`]: [out, inputs],
  [`${name}.bias`]: [out],
});
const norm = (name: string): Record<string, number[]> => ({ [`${name}.weight`]: [8], [`${name}.bias`]: [8] });
const TOWER = {
  'visual.patch_embed.proj.weight': [8, 3, 2, 2, 2],
  ...linear('visual.blocks.0.attn.qkv', 24, 8),
  ...linear('visual.blocks.0.attn.proj', 8, 8),
  ...linear('visual.blocks.0.mlp.fc1', 16, 8),
  ...linear('visual.blocks.0.mlp.fc2', 8, 16),
  ...norm('visual.blocks.0.norm1'),
  ...norm('visual.blocks.0.norm2'),
  ...norm('visual.merger.ln_q'),
  ...linear('visual.merger.mlp.0', 32, 32),
  ...linear('visual.merger.mlp.2', 64, 32),
};
const BIASES = Object.fromEntries(
  [0, 1].flatMap((layer) =>
    Object.entries({ q: 64, k: 32, v: 32 }).map(([kind, rows]) => [
      `model.layers.${layer}.self_attn.${kind}_proj.bias`,
      [rows],
    ]),
  ),
);

/** Adds the image encoder, and biases that the language model lacks. */
function completed(language: Tensors): Tensors {
  const missing = Object.entries({ ...TOWER, ...BIASES }).filter(([name]) => !language.has(name));
  const made = missing.map(([name, shape], i): [string, SafetensorsArray] => {
    const size = shape.reduce((product, n) => product * n, 1);
    return [name, { dtype: 'F32', shape, data: weights(i, size) }];
  });
  return new Map([...language, ...made]);
}

const inFiles = (name: string) => name;
const inMemory = (name: string) =>
  name.replace(/^model\./, 'model.language_model.').replace(/^visual\./, 'model.visual.');

async function filesOf(name: string, quantization: Quantization | null, tensors: Tensors, rename: typeof inFiles) {
  const {
    model_type: _,
    quantization_config: __,
    ...text
  } = await data.json<Record<string, unknown>>(`${name}/config.json`);
  const config = {
    model_type: 'qwen2_vl',
    architectures: ['Qwen2VLForConditionalGeneration'],
    image_token_id: 17,
    tie_word_embeddings: true,
    text_config: {
      ...text,
      model_type: 'qwen2_vl_text',
      rope_parameters: { rope_type: 'default', rope_theta: 1e4, mrope_section: [2, 3, 3] },
    },
    vision_config: { embed_dim: 8, hidden_size: 64, depth: 1, num_heads: 2, patch_size: 2, mlp_ratio: 2 },
    ...(quantization && { quantization_config: quantization }),
  };
  return {
    'config.json': new TextEncoder().encode(JSON.stringify(config)),
    'model.safetensors': serializeSafetensors(new Map([...tensors].map(([key, value]) => [rename(key), value]))),
  };
}

const inputs = () => ({
  inputIds: [[3, 17, 17, 5, 9]],
  imageGridThw: [[1, 4, 2]],
  pixelValues: device.tensor(weights(1000, 8 * 24), [8, 24]),
});

it.each([
  ['gptq-g32-sym', inFiles, {}, 'q4_0'],
  ['gptq-8bit', inMemory, {}, 'q8_0'],
  ['awq-g32', inFiles, { modules_to_not_convert: ['visual'] }, 'uint4'],
  ['awq-g32', inMemory, { modules_to_not_convert: ['model.visual'] }, 'uint4'],
  ['bnb-nf4', inFiles, { llm_int8_skip_modules: ['visual', 'lm_head'] }, undefined],
  ['bnb-int8', inMemory, { llm_int8_skip_modules: ['model.visual'] }, 'int8'],
  ['fp8-block32', inMemory, { modules_to_not_convert: ['model.visual', 'lm_head'] }, undefined],
  ['ct-int4-group-sym', inFiles, { ignore: ['re:visual.*', 'lm_head'] }, 'uint4'],
  ['ct-fp8-channel', inMemory, { ignore: ['re:.*visual.*', 'lm_head'] }, undefined],
] as const)('%s %#: computes what its floats do', async (name, rename, skipped, format) => {
  const quantization = (await data.json<{ quantization_config: Quantization }>(`${name}/config.json`))
    .quantization_config;
  const stored: Tensors = new Map();
  const { tensors } = parseSafetensors(await data.bytes(`${name}/model.safetensors`));
  for (const [key, entry] of tensors) stored.set(key, { dtype: entry.dtype, shape: entry.shape, data: entry.bytes() });
  const read = await dequantizing(await openWeights(await openSource(`${data.path}/${name}`)), quantization);
  const floats: Tensors = new Map();
  for (const [key, entry] of read.tensors)
    if (!read.unneeded?.has(key) || key in BIASES)
      floats.set(key, { dtype: 'F32', shape: [...entry.shape], data: Float32Array.from(await entry.data()) });
  read.close();
  const onWarning = (message: string) => expect.unreachable(message);
  const given = await filesOf(name, { ...quantization, ...skipped }, completed(stored), rename);
  const plain = await filesOf(name, null, completed(floats), inFiles);
  using model = await loadModel<LoadedModel>(device, given, { weights: 'float32', onWarning });
  using whole = await loadModel<LoadedModel>(device, plain, { onWarning });
  const [logits, expected] = [model, whole].map((each) => each.forward(inputs()).logits!.dataSync());
  expect(logits).toEqual(expected);
  using packed = await loadModel<LoadedModel>(device, given, { weights: 'auto', onWarning });
  const formats = packedPieces(packed).filter(({ name: weight }) => weight.includes('k_proj'));
  expect(formats.map((piece) => piece.format)).toEqual(format ? [format, format] : formats.map(() => 'float16'));
});
