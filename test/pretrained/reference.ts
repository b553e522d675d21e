// Compares a checkpoint with transformers in float64. Besides Hugging Face's files, a folder has reference.safetensors
// (inputs, outputs, and `grad.` gradients) and reference.json (tokens).
import { afterAll, expect, it } from 'vitest';
import type { Device, GenerateOptions, Tensor } from '../../src/index.js';
import { parseSafetensors, type SafetensorsEntry } from '../../src/io/safetensors.js';
import type { CausalModel } from '../../src/models/causal-model.js';
import type { ModelInputs, ModelOutput } from '../../src/models/inputs.js';
import type { PretrainedModel } from '../../src/models/pretrained-model.js';
import { add, mul } from '../../src/ops/binary.js';
import { sum } from '../../src/ops/reduce.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor } from '../describe-op.js';
import type { TestData } from '../test-data.js';
import { assertClose, largest } from '../tolerance.js';

/** The allowed error of results, relative to the largest value of each tensor of the reference. */
const LIMITS = { outputs: 2e-4, gradients: 1e-3 };
/** Limits for ill-conditioned models: twice the change that one rounding of the weights causes. */
export type Conditions = Partial<Record<string, typeof LIMITS>>;
/**
 * Relative to the largest of all gradients, for gradients that are zero but for rounding: keys' biases shift all scores
 * equally.
 */
const NOTHING = 1e-6;

/** Inputs by transformers' names; what else a file has are results. */
const inputNames: Readonly<Record<string, keyof ModelInputs>> = {
  input_ids: 'inputIds',
  attention_mask: 'attentionMask',
  token_type_ids: 'tokenTypeIds',
  global_attention_mask: 'globalAttentionMask',
  decoder_input_ids: 'decoderInputIds',
  decoder_attention_mask: 'decoderAttentionMask',
  labels: 'labels',
  start_positions: 'startPositions',
  end_positions: 'endPositions',
  pixel_values: 'pixelValues',
  pixel_mask: 'pixelMask',
  input_points: 'inputPoints',
  input_labels: 'inputLabels',
  pixel_attention_mask: 'pixelAttentionMask',
  spatial_shapes: 'spatialShapes',
  bbox: 'bbox',
  input_features: 'inputFeatures',
  is_longer: 'isLonger',
  input_values: 'inputValues',
  image_grid_thw: 'imageGridThw',
  image_position_ids: 'imagePositionIds',
  mm_token_type_ids: 'mmTokenTypeIds',
  speaker_embeddings: 'speakerEmbeddings',
};

interface Written {
  readonly prompt: readonly number[];
  readonly ids: readonly number[];
  readonly score?: number;
}
interface Ended {
  readonly eos_token_id: number;
  readonly rows: readonly Written[];
}
interface Generated {
  /** Tokens after prompts, or the rows of tokens about the signals of the case. */
  readonly greedy?: readonly Written[] | readonly (readonly number[])[];
  readonly greedy_distinct?: readonly Written[];
  readonly beam4?: readonly Written[];
  readonly greedy_eos?: Ended;
  readonly beam4_eos?: Ended;
}

/** Tokens after the prompt at most, where an end is known. */
const END_AT = 24;
const BEAMS = { numBeams: 4, lengthPenalty: 1, earlyStopping: false };

const PROJECTION = 'projection.';

type Reference = ReadonlyMap<string, SafetensorsEntry>;

/** `conditions`: how far results move if weights are rounded once more. */
export async function testCheckpoint(data: TestData, name: string, isa: string, conditions: Conditions): Promise<void> {
  const moved = conditions[name] ?? { outputs: 0, gradients: 0 };
  const [outputs, gradients] = (['outputs', 'gradients'] as const).map((of) => Math.max(LIMITS[of], 2 * moved[of])) as [
    number,
    number,
  ];
  const [files, reference] = [await filesOf(data, name), await referenceOf(data, name)];
  const models: PretrainedModel[] = [];
  afterAll(() => {
    for (const model of models) model.dispose();
  });
  const load = async (given = files) => {
    const warnings: string[] = [];
    const onWarning = (message: string) => warnings.push(message);
    const model = await loadModel(await usedDeviceFor(isa), given, { onWarning });
    models.push(model);
    expect(warnings).toEqual([]);
    return model;
  };

  it('gives the outputs and the gradients', async () => {
    const model = await load();
    const inputs = inputsOf(model.device, reference);
    const output = model.forward(inputs, { hiddenStates: true, attentions: true });
    const projected = projectedLoss(output, reference);
    if (projected) output.loss = projected;
    await compareOutputs(output, reference, outputs);
    output.loss?.backward();
    if (output.loss) await compareGradients(model, reference, gradients);
  });

  const legacy = await data.bytes(`${name}/config.legacy.json`).catch(() => null);
  if (legacy) {
    it('is the same with the config that versions before 5 wrote', async () => {
      const model = await load({ ...files, 'config.json': legacy });
      await compareOutputs(model.forward(inputsOf(model.device, reference)), reference, outputs, true);
    });
  }

  const written = await data.json<Generated>(`${name}/reference.json`);
  if (!written.greedy) return;

  it('writes the tokens, greedily and by beams', async () => {
    const model = await load();
    if (Array.isArray(written.greedy?.[0]))
      return compareAboutSignals(model, reference, written.greedy as readonly (readonly number[])[]);
    const images = imagesOf(model, reference);
    if ('globalTokens' in model) model.globalTokens = [0]; // LED: as make_settings.py has it
    await compareWritten(model, written.greedy as readonly Written[], {}, undefined, images);
    await compareWritten(model, written.greedy_distinct, { noRepeatNgramSize: 1 });
    await compareWritten(model, written.beam4, BEAMS);
    const { greedy_eos: greedy, beam4_eos: beams } = written;
    await compareWritten(model, greedy?.rows, {}, greedy?.eos_token_id);
    await compareWritten(model, beams?.rows, BEAMS, beams?.eos_token_id);
  });
}

const used = new WeakSet<Device>();

/** A device whose free memory is full of NaN. A model that reads memory before it is written shows them. */
async function usedDeviceFor(isa: string): Promise<Device> {
  const device = await deviceFor(isa, 2);
  if (used.has(device)) return device;
  used.add(device);
  const sizes = Array.from({ length: 4000 }, (_, i) => 16 * (1 + (i % 97)));
  const tensors = sizes.map((size) => device.tensor(new Float32Array(size).fill(NaN)));
  // The other half stays, because the device gives large free areas back to the system, which clears them.
  for (const [i, tensor] of tensors.entries()) if (i % 2 === 0) tensor.dispose();
  return device;
}

/** The files of a checkpoint, as a page has them. */
export async function filesOf(data: TestData, name: string): Promise<Record<string, Uint8Array>> {
  const index = await data.json<{ weight_map: Record<string, string> }>(`${name}/model.safetensors.index.json`).then(
    ({ weight_map: map }) => ['model.safetensors.index.json', ...new Set(Object.values(map))],
    () => ['model.safetensors'],
  );
  const names = ['config.json', ...index];
  return Object.fromEntries(await Promise.all(names.map(async (file) => [file, await data.bytes(`${name}/${file}`)])));
}

export async function referenceOf(data: TestData, name: string): Promise<Reference> {
  return parseSafetensors(await data.bytes(`${name}/reference.safetensors`)).tensors;
}

export function inputsOf(device: Device, reference: Reference): ModelInputs {
  const inputs: Record<string, unknown> = {};
  for (const [theirs, ours] of Object.entries(inputNames)) {
    const entry = reference.get(theirs);
    if (entry) inputs[ours] = isTensor(theirs, entry) ? tensorOf(device, entry) : rowsOf(entry);
  }
  return inputs;
}

function isTensor(name: string, { shape }: SafetensorsEntry): boolean {
  return shape.length > 2 || ['input_values', 'pixel_values', 'speaker_embeddings'].includes(name);
}

function tensorOf(device: Device, entry: SafetensorsEntry): Tensor {
  const values = entry.data() as Float32Array;
  return device.tensor(entry.dtype === 'I32' ? Int32Array.from(values) : values, entry.shape);
}

/** The numbers of a vector, or the rows of a matrix. */
function rowsOf(entry: SafetensorsEntry): number[] | number[][] {
  const values = Array.from(entry.data() as Float32Array);
  const [rows, columns] = entry.shape as [number, number?];
  if (columns === undefined) return values;
  return Array.from({ length: rows }, (_, i) => values.slice(i * columns, (i + 1) * columns));
}

/** The sum of output · projection over the outputs that have a projection: the loss of models that make none themselves. */
function projectedLoss(output: ModelOutput, reference: Reference): Tensor | undefined {
  const terms = [...reference].flatMap(([name, entry]) => {
    const result = name.startsWith(PROJECTION) ? resultOf(output, name.slice(PROJECTION.length)) : undefined;
    return result ? [sum(mul(result, result.device.tensor(entry.data() as Float32Array, entry.shape)))] : [];
  });
  return terms.length === 0 ? undefined : terms.reduce((total, term) => add(total, term));
}

/** `hidden_states.1` is `hiddenStates[1]`. */
function resultOf(output: ModelOutput, name: string): Tensor | undefined {
  const [property, index] = name.split('.') as [string, string?];
  const value = output[property.replace(/_(\w)/g, (_, letter: string) => letter.toUpperCase()) as keyof ModelOutput];
  return (Array.isArray(value) ? value[Number(index)] : value) as Tensor | undefined;
}

/** Compares all that is not padding; `present`: what was asked for only. */
async function compareOutputs(
  output: ModelOutput,
  reference: Reference,
  limit: number,
  present = false,
): Promise<void> {
  const results = [...reference.keys()].filter(
    (name) => !(name in inputNames) && !/^(grad|projection)\.|^generated_/.test(name),
  );
  for (const name of results) {
    const result = resultOf(output, name);
    if (result === undefined && present) continue;
    const expected = reference.get(name) as SafetensorsEntry;
    expect(result?.shape, name).toEqual(expected.shape);
    const isToken = tokensOf(name, reference);
    const [actual, wanted] = [await (result as Tensor).data(), expected.data() as Float32Array].map((values) =>
      values.map((value, i) => (isToken(i) ? value : 0)),
    ) as [Float32Array, Float32Array];
    const max = largest(wanted);
    assertClose(name, actual, wanted, () => limit * max);
  }
}

/** True if an element belongs to a token, not to padding. */
function tokensOf(name: string, reference: Reference): (i: number) => boolean {
  const { shape } = reference.get(name) as SafetensorsEntry;
  const isDecoder = name.startsWith('decoder_') || name.startsWith('cross_');
  const isTwoSided = reference.has('encoder_last_hidden_state');
  const side = isDecoder || (isTwoSided && name === 'logits') ? 'labels' : 'attention_mask';
  const isSound = reference.has('input_values') || reference.has('input_features');
  const marks = isSound && side !== 'labels' ? framesOf(reference, shape) : reference.get(side);
  // Attention maps are [batch, heads, queries, keys]; what is [batch, time] or [batch, time, …] has one row for each token.
  const time = shape[shape.length === 4 ? 2 : 1];
  const isOfTokens =
    shape.length > 2 || /^(start|end)_logits$/.test(name) || reference.get('labels')?.shape[1] === time;
  const hasImage = reference.has('bbox'); // patches follow the words
  if (!marks || !isOfTokens || time === undefined || (marks.shape[1] !== time && !hasImage)) return () => true;
  const given = marks.data() as Float32Array;
  const [batch, words] = marks.shape as [number, number];
  const values = Float32Array.from({ length: batch * time }, (_, i) =>
    i % time < words ? (given[Math.floor(i / time) * words + (i % time)] as number) : 1,
  );
  const rest = shape.slice(shape.length === 4 ? 3 : 2).reduce((size, n) => size * n, 1);
  const isOfStreams = shape.length === 4 && name.startsWith('hidden_states'); // [streams, batch, time, features]
  const ofSequence = shape.slice(isOfStreams ? 2 : 1).reduce((size, n) => size * n, 1);
  return (i) => {
    const sequence = Math.floor(i / ofSequence) % batch;
    const mark = values[sequence * time + (Math.floor(i / rest) % time)] as number;
    return side === 'labels' ? mark !== -100 : mark === 1;
  };
}

/** The mask of frames of sound: 1 up to the last frame that some query attends to. */
function framesOf(
  reference: Reference,
  shape: readonly number[],
): Pick<SafetensorsEntry, 'shape' | 'data'> | undefined {
  const maps = reference.get('cross_attentions.0') ?? reference.get('attentions.0');
  if (!maps) return undefined;
  const [batch, heads, queries, time] = maps.shape as [number, number, number, number];
  const weights = maps.data() as Float32Array;
  const seen = Float32Array.from({ length: batch * time }, (_, i) => {
    const item = Math.floor(i / time) * heads * queries * time;
    return weights[item + (i % time)] === 0 ? 0 : 1; // the first query of the first head sees every frame
  });
  return { shape: [batch, time, ...shape.slice(2)], data: () => seen };
}

/** Parameters whose names transformers 5 changed in memory alone: files have those of before. */
const renamed: readonly (readonly [now: RegExp, before: string])[] = [
  [/^vit\.layers\./, 'vit.encoder.layer.'],
  [/^(vit|dinov2)(\..*\.attention\.)([qkv])_proj/, '$1$2attention.$3'],
  [/^((?:vit|dinov2)\..*\.attention\.)o_proj/, '$1output.dense'],
  [/^(vit\..*)\.mlp\.fc1/, '$1.intermediate.dense'],
  [/^(vit\..*)\.mlp\.fc2/, '$1.output.dense'],
  [/(dinov2\..*\.mlp\.)gate_up_proj\./, '$1weights_in.'],
  [/(dinov2\..*\.mlp\.)down_proj\./, '$1weights_out.'],
  [/(\.attention\.attention\.)q\./, '$1query.'],
  [/(\.attention\.attention\.)k\./, '$1key.'],
  [/(\.attention\.attention\.)v\./, '$1value.'],
];

function inCheckpoint(name: string): string {
  return renamed.reduce((result, [now, before]) => result.replace(now, before), name);
}

async function compareGradients(model: PretrainedModel, reference: Reference, limit: number): Promise<void> {
  const gradients = model.gradientDict();
  const wanted = [...reference].filter(([name]) => name.startsWith('grad.'));
  const max = Math.max(...wanted.map(([, entry]) => largest(entry.data() as Float32Array)));
  for (const [name, entry] of wanted) {
    const inFile = inCheckpoint(name.slice('grad.'.length));
    const gradient =
      gradients[model.config.model_type === 'gpt_neox' ? inFile.replace('lm_head', 'embed_out') : inFile];
    expect(gradient?.shape, name).toEqual(entry.shape);
    const expected = entry.data() as Float32Array;
    const allowed = limit * largest(expected) + NOTHING * max;
    assertClose(name, (await gradient?.data()) as Float32Array, expected, () => allowed);
  }
}

/** The images of the prompts, which are those of the rows of the reference. */
function imagesOf(model: PretrainedModel, reference: Reference): ModelInputs | undefined {
  const { images } = model as { images?: { inputNames: readonly (keyof ModelInputs)[] } | null };
  if (!images) return undefined;
  const all = inputsOf(model.device, reference);
  return Object.fromEntries(images.inputNames.map((name) => [name, all[name]]));
}

/** Compares what is written about images. The rows begin with the start token. */
async function compareAboutSignals(
  model: PretrainedModel,
  reference: Reference,
  expected: readonly (readonly number[])[],
): Promise<void> {
  const inputs = inputsOf(model.device, reference);
  const { pixelValues, inputFeatures, inputValues, inputIds, attentionMask } = inputs;
  const maxNewTokens = (expected[0] as readonly number[]).length - 1;
  const signals = (pixelValues ?? inputFeatures ?? inputValues) as Tensor;
  const input = inputIds ? { pixelValues: signals, inputIds, attentionMask } : signals;
  const { sequences } = await (model as CausalModel).generate(input, { maxNewTokens, stopTokens: [] });
  expect(sequences).toEqual(expected.map((ids) => ids.slice(1)));
}

/** Compares what is written after prompts; `end` ends a sequence and is the last token of what transformers gives. */
async function compareWritten(
  model: PretrainedModel,
  expected: readonly Written[] | undefined,
  options: GenerateOptions,
  end?: number,
  images?: ModelInputs,
): Promise<void> {
  if (expected === undefined) return;
  // An encoder-decoder's rows begin with the start token, a decoder's with the prompt.
  const tails = expected.map(({ prompt, ids }) => ids.slice(model.encoder ? 1 : prompt.length));
  const maxNewTokens = end === undefined ? (tails[0] as readonly number[]).length : model.encoder ? 16 : END_AT;
  const stopTokens = end === undefined ? [] : [end];
  const prompts = expected.map(({ prompt }) => prompt);
  const input = images ? { inputIds: prompts, ...images } : prompts;
  const { sequences, scores } = await (model as CausalModel).generate(input, { ...options, maxNewTokens, stopTokens });
  expect(sequences, JSON.stringify(options)).toEqual(tails.map((ids) => ids.filter((id) => id !== end)));
  const wanted = expected.map(({ score }) => score);
  if (wanted.every((score) => score !== undefined))
    assertClose('scores', scores, wanted as number[], (i) => LIMITS.outputs * Math.abs(wanted[i] as number));
}
