// This package's side of `npm run check:python`. It reads adapters that PEFT has written, trains models and adapters
// for a few steps, and writes them with their logits.
//
//     tsx test/python/exchange.ts FAMILIES WORK
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type LoraOptions, loadLora, lora } from '../../src/finetune/index.js';
import { AdamW, createDevice, type Device, loadModel, type Tensor } from '../../src/index.js';
import { parseSafetensors, serializeSafetensors } from '../../src/io/index.js';
import type { ModelInputs, ModelOutput } from '../../src/models/inputs.js';
import type { LoadedModel } from '../../src/pretrained/load-model.js';

/** One of each kind of texts: an encoder, a decoder, both, a classifier. */
const TEXTS = ['bert-mlm', 'qwen3', 'gpt2', 't5', 'bart', 'bert-sequence', 'modernbert-mlm'];
/** One of each kind of sounds: CTC, two that write, one that speaks, one that compares sounds and texts. */
const SOUNDS = ['wav2vec2', 'whisper', 'moonshine', 'speecht5', 'clap'];
/** One of each kind of images: a classifier, an encoder, detection, segmentation, depth, images with texts. */
const IMAGES = ['vit-image', 'dinov3_vit', 'detr', 'segformer', 'depth_anything', 'smolvlm'];
const MODELS = [...TEXTS, ...SOUNDS, ...IMAGES];

const names: Readonly<Record<string, keyof ModelInputs>> = {
  input_ids: 'inputIds',
  attention_mask: 'attentionMask',
  token_type_ids: 'tokenTypeIds',
  decoder_input_ids: 'decoderInputIds',
  decoder_attention_mask: 'decoderAttentionMask',
  labels: 'labels',
  pixel_values: 'pixelValues',
  pixel_mask: 'pixelMask',
  input_features: 'inputFeatures',
  input_values: 'inputValues',
  speaker_embeddings: 'speakerEmbeddings',
};
/** Inputs that are tensors even if they have only two dimensions. */
const TENSORS = ['input_values', 'speaker_embeddings'];

/** Options of adapters that are trained here. */
const OPTIONS: Readonly<Record<string, LoraOptions>> = {
  'gpt-neox': { targets: ['query_key_value', 'dense'] },
  bart: { targets: 'all-linear' },
  qwen3: { dora: true },
  t5: { rsLora: true },
  qwen2: {
    bias: 'lora_only',
    targets: ['embed_tokens', 'q_proj', 'lm_head'],
    rankPattern: { q_proj: 2 },
    alphaPattern: { 'layers.0.self_attn.q_proj': 20 },
  },
  gemma2: { modulesToSave: ['lm_head'] }, // tied
  opt: { bias: 'all' },
  wav2vec2: { targets: 'all-linear' },
  moonshine: { targets: ['q_proj', 'v_proj'] },
  speecht5: { targets: ['q_proj', 'feat_out'] },
  clap: { targets: ['query', 'value'] },
  'vit-image': { targets: ['q_proj', 'o_proj', 'fc2'] },
  segformer: { targets: ['query', 'fc1', 'o_proj'] }, // names of its files, too
  depth_anything: { targets: ['q_proj', 'v_proj', 'o_proj'] },
  detr: { targets: ['q_proj', 'o_proj', 'fc1'] },
  smolvlm: { targets: ['q_proj', 'v_proj'] },
  gte: { targets: ['q_proj', 'up_proj'] },
  nomic_bert: { targets: ['Wqkv', 'down_proj'] }, // a name of its files, too
  jina_embeddings_v3: { bias: 'all', targets: ['k_proj', 'v_proj'] },
  gpt_oss: { targets: 'all-linear' },
  granitemoehybrid: { targets: 'all-linear' },
  lfm2_moe: { targets: 'all-linear' },
  gemma3n: { targets: 'all-linear' },
  mamba2: { targets: 'all-linear' },
  falcon_h1: { targets: 'all-linear' },
  xlnet: { targets: 'all-linear' },
};

const [families, work] = process.argv.slice(2) as [string, string];
using device = await createDevice();
let isGood = true;

for (const name of readdirSync(join(work, 'peft'))) {
  using model = await load(join(families, name));
  await loadLora(model, join(work, 'peft', name));
  const expected = parseSafetensors(readFileSync(join(work, 'peft', name, 'expected.safetensors'))).tensors;
  const target = expected.get('logits')!.data() as Float32Array;
  const { values, isToken } = await outputOf(model, name);
  const limit = (expected.get('limit')!.data() as Float32Array)[0] as number;
  const worst = target.reduce((max, value, i) => (isToken(i) ? Math.max(max, Math.abs(value - values[i]!)) : max), 0);
  const isRight = worst <= limit;
  isGood &&= isRight;
  console.log(
    `${isRight ? 'ok' : 'NOT OK'}  adapters of PEFT here, ${name}: ${worst.toExponential(2)}, at most ${limit.toExponential(2)}`,
  );
}

for (const name of MODELS) {
  using model = await load(join(families, name));
  await train(model, name, model.parameters());
  await write(model, name, 'models', (folder) => model.save(folder));
}

for (const name of readdirSync(join(work, 'peft'))) {
  using model = await load(join(families, name));
  const adapter = lora(model, { r: 3, alpha: 5, dropout: 0.1, ...OPTIONS[name] });
  await train(model, name, adapter.parameters());
  await write(model, name, 'adapters', (folder) => adapter.save(folder));
}
process.exitCode = isGood ? 0 : 1;

/** Returns the result that is compared. */
function resultOf(output: ModelOutput): Tensor {
  const { logits, spectrogram, predictedDepth, logitsPerAudio, lastHiddenState } = output;
  const result = logits ?? spectrogram ?? predictedDepth ?? logitsPerAudio ?? lastHiddenState;
  if (result === undefined) throw new Error('the model has no result that is compared');
  return result;
}

function load(folder: string): Promise<LoadedModel> {
  return loadModel(device, folder, { onWarning: (message) => console.error(message) });
}

/** A few steps on what the folder has, whatever the head predicts. */
async function train(model: LoadedModel, name: string, params: Tensor[]): Promise<void> {
  using optimizer = new AdamW(
    params.filter(({ requiresGrad }) => requiresGrad),
    { lr: 3e-3, weightDecay: 0 },
  );
  model.train();
  for (let step = 0; step < 3; step++) {
    model.device.scope(() => {
      const output = model.forward(inputsOf(model.device, name));
      const features = output.loss ?? resultOf(output);
      features.backward(output.loss ? undefined : new Float32Array(features.size).fill(1 / features.size));
      optimizer.step();
      optimizer.zeroGrad();
    });
    await model.device.flush();
  }
  model.eval();
}

async function write(model: LoadedModel, name: string, kind: string, save: (folder: string) => Promise<void>) {
  const folder = join(work, kind, name);
  mkdirSync(folder, { recursive: true });
  await save(folder);
  const { values, shape } = await outputOf(model, name);
  writeFileSync(
    join(folder, 'expected.safetensors'),
    serializeSafetensors({ logits: { dtype: 'F32', shape, data: values } }),
  );
  console.log(`${kind}, ${name}: written`);
}

async function outputOf(model: LoadedModel, name: string) {
  const { inputs, output } = model.device.noGrad(() => {
    const inputs = inputsOf(model.device, name);
    return { inputs, output: model.forward(inputs) };
  });
  const logits = resultOf(output);
  const labels =
    model.decoder && model.encoder && Array.isArray(inputs.labels) ? (inputs.labels as number[][]) : undefined;
  const learned = labels?.map((row) => row.map((label) => Number(label !== -100)));
  const mask = learned ?? (inputs.attentionMask as number[][] | undefined);
  const [batch, time, width = 1] = logits.shape as [number, number, number];
  const hasMask = mask !== undefined && logits.shape.length === 3 && mask.length === batch && mask[0]?.length === time;
  const isToken = (i: number) => !hasMask || mask.flat()[Math.floor(i / width)] === 1;
  return { values: (await logits.data()) as Float32Array, shape: logits.shape, isToken };
}

/** The inputs of a folder, with its labels. */
function inputsOf(device: Device, name: string): ModelInputs {
  const { tensors } = parseSafetensors(readFileSync(join(families, name, 'reference.safetensors')));
  const inputs: Record<string, unknown> = {};
  for (const [given, own] of Object.entries(names)) {
    const entry = tensors.get(given);
    if (entry === undefined) continue;
    const data = entry.data();
    const { shape } = entry;
    const numbers = Array.from(data as Float32Array, Number);
    const width = shape.at(-1) as number;
    if (shape.length > 2 || TENSORS.includes(given))
      inputs[own] = device.tensor(entry.dtype === 'I32' ? Int32Array.from(numbers) : Float32Array.from(numbers), shape);
    else if (shape.length === 1) inputs[own] = numbers;
    else inputs[own] = Array.from({ length: shape[0] as number }, (_, i) => numbers.slice(i * width, (i + 1) * width));
  }
  return inputs as ModelInputs;
}
