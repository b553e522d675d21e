// Teaches a small RT-DETR to find circles, squares and triangles. With --lora, it first learns to find other shapes, and
// then these by an adapter:
//
//   npx tsx examples/detection/main.ts [--lora] [--steps 1000] [--seed 0] [--threads n]

import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Lora, lora } from '../../src/finetune/index.js';
import { createDevice, type Device, type Tensor } from '../../src/index.js';
import {
  type DetectedObject,
  type DetectionScores,
  detectionScores,
  type LabelledBox,
} from '../../src/metrics/index.js';
import { type ModelInputs, newModel, type PretrainedModel } from '../../src/pretrained/index.js';
import { AdamW, cosine, fit, type Progress } from '../../src/train/index.js';
import { objectiveOf } from '../objective.js';
import { type Drawing, drawings, KINDS, type Kind, OTHER_KINDS, type Shape, SIDE } from './shapes.js';

const WIDTH = 64;
const config = {
  model_type: 'rt_detr',
  architectures: ['RTDetrForObjectDetection'],
  id2label: Object.fromEntries(KINDS.map((name, i) => [i, name])),
  backbone_config: {
    model_type: 'rt_detr_resnet',
    layer_type: 'basic',
    embedding_size: 24,
    hidden_sizes: [24, 48, 64],
    depths: [1, 1, 1],
    out_indices: [1, 2, 3], // a pixel of the finest map is 4 × 4 pixels of the drawing, which places edges well
  },
  freeze_backbone_batch_norms: false,
  encoder_in_channels: [24, 48, 64],
  encoder_hidden_dim: WIDTH,
  encoder_attention_heads: 4,
  encoder_ffn_dim: 2 * WIDTH,
  hidden_expansion: 0.5,
  d_model: WIDTH,
  decoder_in_channels: [WIDTH, WIDTH, WIDTH],
  decoder_attention_heads: 4,
  decoder_ffn_dim: 2 * WIDTH,
  decoder_layers: 3,
  num_queries: 12,
  num_denoising: 12,
};

function pixelsOf(device: Device, images: readonly Drawing[]) {
  const values = new Float32Array(images.length * 3 * SIDE * SIDE);
  images.forEach(({ pixels }, i) => {
    values.set(pixels, i * pixels.length);
  });
  return device.tensor(values, [images.length, 3, SIDE, SIDE]);
}

/** The inputs and targets of drawings. */
function inputsOf(device: Device, images: readonly Drawing[]): ModelInputs {
  const labels = images.map(({ shapes }) => ({
    classLabels: shapes.map(({ kind }) => kind),
    boxes: shapes.map(({ box }) => box),
  }));
  return { pixelValues: pixelsOf(device, images), labels };
}

function boxOf([x, y, width, height]: Shape['box']): LabelledBox['box'] {
  const edge = (centre: number, size: number, side: number) => SIDE * (centre + side * size);
  return {
    xmin: edge(x, width, -0.5),
    xmax: edge(x, width, 0.5),
    ymin: edge(y, height, -0.5),
    ymax: edge(y, height, 0.5),
  };
}

/** All classes of all queries, with their scores. */
export async function find(model: PretrainedModel, images: readonly Drawing[]): Promise<DetectedObject[][]> {
  const found: DetectedObject[][] = [];
  for (const image of images) {
    const { logits, predBoxes } = model.forward({ pixelValues: pixelsOf(model.device, [image]) });
    if (!logits || !predBoxes) throw new Error('the model finds nothing');
    const [scores, boxes] = [(await logits.data()) as Float32Array, (await predBoxes.data()) as Float32Array];
    found.push(
      Array.from(scores, (score, i) => {
        const [query, kind] = [Math.floor(i / KINDS.length), i % KINDS.length];
        const box = boxOf(Array.from(boxes.subarray(4 * query, 4 * query + 4)) as unknown as Shape['box']);
        return { label: KINDS[kind] as string, score: 1 / (1 + Math.exp(-score)), box };
      }),
    );
    logits.dispose();
    predBoxes.dispose();
  }
  return found;
}

export async function scoresOf(model: PretrainedModel, images: readonly Drawing[]): Promise<DetectionScores> {
  const wanted = images.map(({ shapes }) =>
    shapes.map(({ kind, box }) => ({ label: KINDS[kind] as string, box: boxOf(box) })),
  );
  return detectionScores(await find(model, images), wanted);
}

export interface TrainingOptions {
  readonly steps: number;
  readonly seed?: number;
  readonly batchSize?: number;
  readonly onStep?: (progress: Progress) => void;
}

/** Trains a new model on drawings without end. */
export async function learn(
  device: Device,
  kinds: readonly Kind[],
  options: TrainingOptions,
): Promise<PretrainedModel> {
  const model = await newModel(device, config, { seed: options.seed ?? 0 });
  await train(model, model.parameters(), kinds, 1.5e-3, options);
  return model;
}

/** Trains an adapter of a model, and copies of the layers that score kinds. The model's own weights stay. */
export async function adapt(model: PretrainedModel, kinds: readonly Kind[], options: TrainingOptions): Promise<Lora> {
  const modulesToSave = ['enc_score_head', 'class_embed', 'denoising_class_embed'];
  const adapter = lora(model, { r: 16, alpha: 16, targets: 'all-linear', modulesToSave });
  await train(model, adapter.parameters(), kinds, 3e-3, options);
  return adapter;
}

async function train(
  model: PretrainedModel,
  parameters: Tensor[],
  kinds: readonly Kind[],
  peak: number,
  { steps, seed = 0, batchSize = 16, onStep }: TrainingOptions,
): Promise<void> {
  const objective = objectiveOf(model, (drawn: readonly Drawing[]) => inputsOf(model.device, drawn));
  await fit(objective, drawings(seed + 1, kinds), {
    steps,
    batchSize,
    seed,
    shuffleBuffer: 64,
    optimizer: new AdamW(parameters, { weightDecay: 1e-4 }),
    schedule: cosine(peak, { steps, warmup: Math.ceil(steps / 20), final: 1e-5 }),
    clipNorm: 1,
    onStep,
  });
}

export function testDrawings(count: number): Drawing[] {
  const source = drawings(1000);
  return Array.from({ length: count }, () => source.next().value as Drawing);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      steps: { type: 'string', default: '1000' },
      seed: { type: 'string', default: '0' },
      threads: { type: 'string' },
      lora: { type: 'boolean', default: false },
    },
  });
  const start = performance.now();
  const seconds = () => ((performance.now() - start) / 1000).toFixed(0);
  const options = {
    steps: Number(values.steps),
    seed: Number(values.seed),
    onStep({ step, steps, loss }: Progress) {
      if (step % 100 === 0 || step === steps)
        console.log(`step ${step} of ${steps}: loss ${loss.toFixed(3)}, ${seconds()} s`);
    },
  };
  using device = await createDevice(values.threads === undefined ? {} : { threads: Number(values.threads) });
  const report = async (model: PretrainedModel) => {
    const { map, map50, map75 } = await scoresOf(model, testDrawings(200));
    const shown = [map, map50, map75].map((score) => score.toFixed(3));
    console.log(`mAP ${shown[0]}, at overlaps of 0.5 ${shown[1]}, of 0.75 ${shown[2]}, after ${seconds()} s`);
  };
  const model = await learn(device, values.lora ? OTHER_KINDS : KINDS, options);
  await report(model);
  if (values.lora) {
    const count = (tensors: readonly Tensor[]) => tensors.reduce((sum, { size }) => sum + size, 0);
    const whole = count(model.parameters());
    const adapter = await adapt(model, KINDS, options);
    console.log(`the adapter has ${count(adapter.parameters())} parameters, the model ${whole}`);
    await report(model);
  }
  model.dispose();
}
