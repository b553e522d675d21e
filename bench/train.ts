// A training step beside the same model in PyTorch, in turn, on the same batches.
//   npx tsx bench/train.ts [--threads N] [--steps N] [--model quickstart|paper|nanogpt|small] [--json]

import { parseArgs } from 'node:util';
import { AdamW, createDevice, Random, Transformer, type TransformerOptions } from '../src/index.js';
import { median, Peer } from './peer.js';

interface Task {
  model: TransformerOptions & { dModel: number; encoderLayers: number; maxLength: number };
  /** Sequences, and the lengths that they are drawn from. */
  batch: number;
  source: [number, number];
  target: [number, number];
}

const tasks: Record<string, Task> = {
  quickstart: {
    model: {
      dModel: 128,
      heads: 4,
      encoderLayers: 2,
      decoderLayers: 2,
      dFF: 512,
      activation: 'relu',
      norm: 'pre',
      maxLength: 64,
      sourceVocab: 30,
      targetVocab: 42,
    },
    batch: 256,
    source: [7, 8],
    target: [8, 9],
  },
  small: {
    model: {
      dModel: 128,
      heads: 4,
      encoderLayers: 4,
      decoderLayers: 4,
      dFF: 512,
      activation: 'relu',
      norm: 'pre',
      maxLength: 64,
      sourceVocab: 50,
      targetVocab: 50,
    },
    batch: 256,
    source: [10, 10],
    target: [10, 10],
  },
  paper: {
    model: {
      dModel: 512,
      heads: 8,
      encoderLayers: 6,
      decoderLayers: 6,
      dFF: 2048,
      activation: 'relu',
      norm: 'post',
      maxLength: 64,
      sourceVocab: 8000,
      targetVocab: 8000,
    },
    batch: 16,
    source: [32, 32],
    target: [33, 33],
  },
  nanogpt: {
    model: {
      dModel: 128,
      heads: 4,
      encoderLayers: 0,
      decoderLayers: 4,
      dFF: 512,
      activation: 'gelu',
      norm: 'pre',
      maxLength: 64,
      targetVocab: 65,
    },
    batch: 12,
    source: [0, 0],
    target: [65, 65],
  },
};

const { values } = parseArgs({
  options: {
    threads: { type: 'string', default: '2' },
    steps: { type: 'string', default: '15' },
    model: { type: 'string', default: 'quickstart' },
    json: { type: 'boolean', default: false },
  },
});
const task = tasks[values.model];
if (task === undefined)
  throw new Error(`--model is '${values.model}', expected one of ${Object.keys(tasks).join(', ')}`);
const threads = Number(values.threads);
const labelSmoothing = 0.1;

const device = await createDevice({ threads });
const model = new Transformer(device, { dropout: 0, ...task.model });
const params = model.parameters();
for (const param of params) param.requiresGrad = true;
const optimizer = new AdamW(params, { lr: 1e-3, beta2: 0.98, eps: 1e-9, weightDecay: 0 });

async function ourStep(source: number[][], target: number[][]): Promise<{ milliseconds: number; loss: number }> {
  const start = performance.now();
  const loss = device.scope(() => {
    const result = model.loss(source.length > 0 ? source : null, target, { labelSmoothing });
    result.backward();
    optimizer.step({ maxNorm: 1 });
    optimizer.zeroGrad();
    return result;
  });
  const value = await loss.item();
  loss.dispose();
  return { milliseconds: performance.now() - start, loss: value };
}

const random = new Random(1);
function sequences([shortest, longest]: [number, number], vocabulary: number): number[][] {
  if (longest === 0) return [];
  return Array.from({ length: task.batch }, () => {
    const length = shortest + random.below(longest - shortest + 1);
    return Array.from({ length }, () => 3 + random.below(vocabulary - 3));
  });
}

const padded = (rows: number[][]) => {
  const longest = Math.max(0, ...rows.map((row) => row.length));
  return rows.map((row) => [...row, ...Array<number>(longest - row.length).fill(0)]);
};

const peer = Peer.python('train_torch.py');
let versions: { torch: string; threads: number } | null = null;
try {
  versions = await peer.ask({ ...model.config, threads, labelSmoothing, ignoreIndex: model.config.padId ?? -100 });
} catch (error) {
  console.error(
    `PyTorch is not measured: ${(error as Error).message}. On Debian: apt install python3-torch libopenblas0-openmp`,
  );
}

const ours: number[] = [];
const theirs: number[] = [];
const losses = { ours: 0, theirs: 0 };
const warmUp = 3;
for (let step = 0; step < Number(values.steps) + warmUp; step++) {
  const source = sequences(task.source, task.model.sourceVocab ?? 0);
  const target = sequences(task.target, task.model.targetVocab ?? 0);
  const mine = await ourStep(source, target);
  losses.ours = mine.loss;
  if (step >= warmUp) ours.push(mine.milliseconds);
  if (versions === null) continue;
  const answer = await peer.ask<{ milliseconds: number; loss: number }>({
    source: padded(source),
    target: padded(target),
  });
  losses.theirs = answer.loss;
  if (step >= warmUp) theirs.push(answer.milliseconds);
}
peer.close();

const result = {
  model: values.model,
  isa: device.info.isa,
  threads,
  torch: versions?.torch ?? null,
  milliseconds: median(ours),
  fastest: Math.min(...ours),
  torchMilliseconds: versions && median(theirs),
  torchFastest: versions && Math.min(...theirs),
  speedup: versions && median(theirs.map((time, i) => time / (ours[i] as number))),
  losses,
};
if (values.json) console.log(JSON.stringify(result));
else {
  const peerText = versions
    ? `PyTorch ${versions.torch} ${result.torchMilliseconds?.toFixed(1)} ms (fastest ${result.torchFastest?.toFixed(1)})`
    : 'no PyTorch';
  console.log(
    `${values.model}, ${device.info.isa}, ${threads} threads: simdformer ${result.milliseconds.toFixed(1)} ms (fastest ${result.fastest.toFixed(1)}), ${peerText}`,
  );
  if (result.speedup !== null)
    console.log(`median of the ratios, step by step: ${result.speedup.toFixed(2)}× as fast as PyTorch`);
  console.log(
    `last losses, each with initial weights of its own: ${losses.ours.toFixed(3)}, ${losses.theirs.toFixed(3)}`,
  );
}
device.dispose();
