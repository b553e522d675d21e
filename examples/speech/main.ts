// Teaches a small Parakeet with CTC to read digits that espeak-ng speaks. With --lora, it first learns German digits, and
// then English ones by an adapter:
//
//   npx tsx examples/speech/main.ts [--lora] [--steps 450] [--seed 0] [--threads n]

import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Lora, lora } from '../../src/finetune/index.js';
import { createDevice, type Device, type Tensor } from '../../src/index.js';
import { editDistance } from '../../src/metrics/index.js';
import { type ModelInputs, newModel, type PretrainedModel } from '../../src/pretrained/index.js';
import { AdamW, cosine, fit, type Progress } from '../../src/train/index.js';
import { objectiveOf } from '../objective.js';
import { BINS, spokenDigits, type Utterance } from './digits.js';

/** The token between digits. */
const BLANK = 10;

const config = {
  model_type: 'parakeet_ctc',
  architectures: ['ParakeetForCTC'],
  vocab_size: 11,
  pad_token_id: BLANK,
  encoder_config: {
    hidden_size: 96,
    num_hidden_layers: 3,
    num_attention_heads: 4,
    intermediate_size: 192,
    subsampling_factor: 4,
    subsampling_conv_channels: 32,
    num_mel_bins: BINS,
    layerdrop: 0,
  },
};

/** Spectrograms of equal length, padded with zeros. */
function soundOf(device: Device, utterances: readonly Utterance[]): ModelInputs {
  const longest = Math.max(...utterances.map(({ columns }) => columns));
  const features = new Float32Array(utterances.length * longest * BINS);
  utterances.forEach((each, i) => {
    features.set(each.features, i * longest * BINS);
  });
  return {
    inputFeatures: device.tensor(features, [utterances.length, longest, BINS]),
    attentionMask: utterances.map(({ columns }) => Array.from({ length: longest }, (_, i) => (i < columns ? 1 : 0))),
  };
}

/** The sounds of utterances and the digits to read, for the CTC loss. */
function inputsOf(device: Device, utterances: readonly Utterance[]): ModelInputs {
  return { ...soundOf(device, utterances), labels: utterances.map(({ digits }) => [...digits]) };
}

/** Digits of each utterance: the best token of each frame, without repetitions and blanks. */
export async function read(model: PretrainedModel, utterances: readonly Utterance[]): Promise<number[][]> {
  const texts: number[][] = [];
  for (const utterance of utterances) {
    const { logits } = model.forward(soundOf(model.device, [utterance]));
    if (logits === undefined) throw new Error('the model has no logits');
    const values = (await logits.data()) as Float32Array;
    logits.dispose();
    const best = Array.from({ length: values.length / (BLANK + 1) }, (_, frame) => {
      const row = values.subarray(frame * (BLANK + 1), (frame + 1) * (BLANK + 1));
      return row.indexOf(Math.max(...row));
    });
    texts.push(best.filter((token, i) => token !== BLANK && token !== best[i - 1]));
  }
  return texts;
}

/** Insertions, deletions and substitutions per digit. */
export async function errorRate(model: PretrainedModel, utterances: readonly Utterance[]): Promise<number> {
  const texts = await read(model, utterances);
  const edits = utterances.map(({ digits }, i) => editDistance(texts[i] as number[], digits));
  const total = utterances.reduce((sum, { digits }) => sum + digits.length, 0);
  return edits.reduce((sum, count) => sum + count, 0) / total;
}

export interface TrainingOptions {
  readonly steps: number;
  readonly seed?: number;
  readonly batchSize?: number;
  readonly onStep?: (progress: Progress) => void;
}

/** Trains a new model. */
export async function learn(
  device: Device,
  utterances: readonly Utterance[],
  options: TrainingOptions,
): Promise<PretrainedModel> {
  const model = await newModel(device, config, { seed: options.seed ?? 0 });
  await train(model, model.parameters(), utterances, 2e-3, options);
  return model;
}

/** Trains an adapter of a model and a copy of its head. The model's own weights stay. */
export async function adapt(
  model: PretrainedModel,
  utterances: readonly Utterance[],
  options: TrainingOptions,
): Promise<Lora> {
  const adapter = lora(model, { r: 16, alpha: 16, targets: 'all-linear', modulesToSave: ['ctc_head'] });
  await train(model, adapter.parameters(), utterances, 4e-3, options);
  return adapter;
}

async function train(
  model: PretrainedModel,
  parameters: Tensor[],
  utterances: readonly Utterance[],
  peak: number,
  { steps, seed = 0, batchSize = 16, onStep }: TrainingOptions,
): Promise<void> {
  const objective = objectiveOf(model, (spoken: readonly Utterance[]) => inputsOf(model.device, spoken));
  await fit(objective, utterances, {
    steps,
    batchSize,
    seed,
    optimizer: new AdamW(parameters, { weightDecay: 1e-3 }),
    schedule: cosine(peak, { steps, warmup: Math.ceil(steps / 10), final: 0 }),
    clipNorm: 1,
    onStep,
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      steps: { type: 'string', default: '450' },
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
      if (step % 50 === 0 || step === steps)
        console.log(`step ${step} of ${steps}: loss ${loss.toFixed(4)}, ${seconds()} s`);
    },
  };
  const [english, test] = [spokenDigits(400, 1), spokenDigits(100, 2)];
  using device = await createDevice(values.threads === undefined ? {} : { threads: Number(values.threads) });
  const report = async (model: PretrainedModel) => {
    const rate = await errorRate(model, test);
    console.log(`${(100 * rate).toFixed(2)} % errors in ${test.length} other sequences, after ${seconds()} s`);
  };
  const model = await learn(device, values.lora ? spokenDigits(400, 3, 'german') : english, options);
  await report(model);
  if (values.lora) {
    const count = (tensors: readonly Tensor[]) => tensors.reduce((sum, { size }) => sum + size, 0);
    const whole = count(model.parameters());
    const adapter = await adapt(model, english, options);
    console.log(`the adapter has ${count(adapter.parameters())} parameters, the model ${whole}`);
    await report(model);
  }
  model.dispose();
}
