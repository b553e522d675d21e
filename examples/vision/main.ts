// Teaches a small vision Transformer to read digits, and draws what it looks at:
//
//   npx tsx examples/vision/main.ts [--epochs 15] [--out attention.svg] [--seed 0] [--threads n]

import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { createDevice, type Device } from '../../src/index.js';
import { type AttentionMap, heatMapGridSvg } from '../../src/inspect/index.js';
import { AdamW, cosine, fit, type Progress } from '../../src/train/index.js';
import { type Digit, readDigits, SIDE, withShifts } from './digits.js';
import { ViT } from './vit.js';

const BATCH = 32;
const PATCH = 2;

/** The share of digits that the model reads right. */
export async function accuracy(model: ViT, digits: readonly Digit[]): Promise<number> {
  const read = await model.classify(digits.map(({ pixels }) => pixels));
  return read.filter((label, i) => label === digits[i]?.label).length / digits.length;
}

/** A model that has seen all digits, and those a pixel beside, `epochs` times. */
export async function learn(
  device: Device,
  digits: readonly Digit[],
  { epochs, seed = 0, onStep }: { epochs: number; seed?: number; onStep?: (progress: Progress) => void },
): Promise<ViT> {
  const model = new ViT(device, { image: SIDE, patch: PATCH, classes: 10, seed });
  const examples = withShifts(digits).map(({ pixels, label }) => ({ source: pixels, target: [label] }));
  const steps = Math.ceil((epochs * examples.length) / BATCH);
  await fit(model, examples, {
    steps,
    batchSize: BATCH,
    seed,
    optimizer: new AdamW(model.parameters(), { beta2: 0.98, weightDecay: 0.05 }),
    schedule: cosine(3e-3, { steps, warmup: Math.floor(steps / 10), final: 0 }),
    onStep,
  });
  return model;
}

/** For each digit a row: the image, and what each head of the last layer looks at to tell what it is. */
export async function drawAttention(model: ViT, digits: readonly Digit[]): Promise<string> {
  const maps: AttentionMap[] = [];
  let heads = 0;
  for (const { pixels, label } of digits) {
    maps.push({ title: `a ${label}`, weights: pixels });
    const perHead = await model.attentionOf(pixels);
    heads = perHead.length;
    perHead.forEach((weights, head) => {
      maps.push({ title: `head ${head + 1}`, weights: onPixels(weights) });
    });
  }
  const places = Array.from({ length: SIDE }, (_, i) => `${i + 1}`);
  return heatMapGridSvg(maps, { queries: places, keys: places, columns: heads + 1 });
}

/** Weights of patches at each of their pixels, the largest as 1. */
function onPixels(weights: readonly number[]): number[] {
  const max = Math.max(...weights);
  return Array.from({ length: SIDE * SIDE }, (_, at) => {
    const [row, column] = [Math.floor(at / SIDE), at % SIDE];
    const patch = Math.floor(row / PATCH) * (SIDE / PATCH) + Math.floor(column / PATCH);
    return (weights[patch] as number) / max;
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({
    options: {
      epochs: { type: 'string', default: '15' },
      out: { type: 'string', default: 'attention.svg' },
      seed: { type: 'string', default: '0' },
      threads: { type: 'string' },
    },
  });
  const { train, test } = readDigits();
  using device = await createDevice(values.threads === undefined ? {} : { threads: Number(values.threads) });
  const start = performance.now();
  const model = await learn(device, train, {
    epochs: Number(values.epochs),
    seed: Number(values.seed),
    onStep({ step, steps, loss }) {
      if (step % 250 === 0 || step === steps) console.log(`step ${step} of ${steps}: loss ${loss.toFixed(3)}`);
    },
  });
  const seconds = (performance.now() - start) / 1000;
  const right = await accuracy(model, test);
  console.log(`${(100 * right).toFixed(2)} % of ${test.length} digits are read right, after ${seconds.toFixed(1)} s`);
  const shown = [...Array(10).keys()].flatMap((label) => test.find((digit) => digit.label === label) ?? []);
  writeFileSync(values.out, await drawAttention(model, shown));
  console.log(`What it looked at: ${values.out}`);
  model.dispose();
}
