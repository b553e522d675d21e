// A training step (forward, backward, clipping, AdamW) beside the same model in PyTorch, with the same weights and batches.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AdamW, createDevice, Transformer, type TransformerOptions } from '../src/index.js';
import { modelCost } from '../src/inspect/index.js';
import { saveSafetensors } from '../src/io/index.js';
import { Random } from '../src/nn/index.js';
import type { Bench } from './harness/bench.js';
import { agree, type Contestant, contest, type Turn } from './harness/contest.js';
import { describeDevice } from './harness/machine.js';
import { wholeScript } from './harness/nanogpt.js';
import { OURS, OURS_IN_BFLOAT16, PYTORCH_IN_BFLOAT16 } from './harness/ours.js';
import { pytorch } from './harness/peers.js';

interface Task {
  readonly model: TransformerOptions;
  /**
   * Number of sequences. `source` and `target` are the ranges of their lengths. The first token of a target is only
   * read.
   */
  readonly batch: number;
  readonly source: readonly [number, number] | null;
  readonly target: readonly [number, number];
  /** True if the step is recorded once. It then serves all batches of the same lengths. */
  readonly recorded?: boolean;
}

const nanogpt: Task = {
  model: {
    dModel: 128,
    heads: 4,
    encoderLayers: 0,
    decoderLayers: 4,
    norm: 'pre',
    activation: 'gelu',
    targetVocab: 65,
  },
  batch: 12,
  source: null,
  target: [65, 65],
};

const tasks: Readonly<Record<string, Task>> = {
  'paper: 6+6 layers, d 512': {
    model: { dModel: 512, heads: 8, dFF: 2048, sourceVocab: 8000, targetVocab: 8000 },
    batch: 16,
    source: [32, 32],
    target: [33, 33],
  },
  'small: 4+4 layers, d 128': {
    model: { dModel: 128, heads: 4, encoderLayers: 4, decoderLayers: 4, norm: 'pre', sourceVocab: 50, targetVocab: 50 },
    batch: 256,
    source: [10, 10],
    target: [10, 10],
  },
  "nanoGPT's CPU configuration": nanogpt,
  "nanoGPT's CPU configuration, recorded": { ...nanogpt, recorded: true },
  "the quickstart's, ragged": {
    model: { dModel: 128, heads: 4, encoderLayers: 2, decoderLayers: 2, norm: 'pre', sourceVocab: 30, targetVocab: 42 },
    batch: 256,
    source: [3, 12],
    target: [3, 12],
  },
};

const BATCHES = 4;
/** Largest difference of the losses of the first steps. The optimiser amplifies rounding errors of gradients. */
const TOLERANCE = 1e-3;
const OPTIMIZER = { lr: 1e-4, beta1: 0.9, beta2: 0.98, eps: 1e-9, weightDecay: 0 };
const LABEL_SMOOTHING = 0.1;

interface Batch {
  readonly source: number[][] | null;
  readonly target: number[][];
}

export default {
  question: 'How fast is a training step, beside PyTorch?',
  async run(run) {
    const torch = await pytorch(run, 'train_torch.py');
    const device = await createDevice({ threads: run.threads });
    run.version(OURS, describeDevice(device));
    for (const [name, task] of Object.entries(tasks)) {
      if (!run.wants(name)) continue;
      const model = new Transformer(device, { ...task.model, dropout: 0, maxLength: 64 });
      const batches = makeBatches(task);
      const contestants = [ours(model, batches, task.recorded ? recordedStep : eagerStep)];
      if (torch) {
        const folder = mkdtempSync(join(tmpdir(), 'simdformer-train-'));
        try {
          const weights = join(folder, 'weights.safetensors');
          await saveSafetensors(weights, model.stateDict());
          const { config } = model;
          const optimizer = { ...OPTIMIZER, labelSmoothing: LABEL_SMOOTHING };
          await torch.ask({ load: weights, config, optimizer, batches: batches.map(padded) });
        } finally {
          rmSync(folder, { recursive: true });
        }
        contestants.push({ name: 'PyTorch', take: (repeats) => torch.ask<Turn>({ repeats }) });
      }
      await checkLosses(contestants);
      const step = inBfloat16(task.recorded ? recordedStep : eagerStep);
      contestants.push({ ...ours(model, batches, step), name: OURS_IN_BFLOAT16, isReference: true });
      if (torch) {
        const take = (repeats: number) => torch.ask<Turn>({ repeats, autocast: true });
        contestants.push({ name: PYTORCH_IN_BFLOAT16, isReference: true, take });
      }
      contestants.push(run.limits.contestant(trainingWork(model, task), run.threads));
      const outcome = await contest(contestants, { rounds: run.rounds(15), seconds: 8, warming: 3 });
      const tokens = batches.flatMap(({ target }) => target).reduce((sum, row) => sum + row.length - 1, 0) / BATCHES;
      run.row(name, outcome, {
        'target tokens/s': tokens / (outcome.times[OURS]?.median as number),
      });
      model.dispose();
    }
    await wholeScript(run, device);
    device.dispose();
  },
} satisfies Bench;

/** Takes a step and returns its loss. */
type Step = (batch: Batch) => Promise<number>;
type MakeStep = (model: Transformer, optimizer: AdamW, first: Batch) => Step;

function ours(model: Transformer, batches: readonly Batch[], make: MakeStep): Contestant {
  const step = make(model, new AdamW(model.parameters(), OPTIMIZER), batches[0] as Batch);
  let steps = 0;
  const take = async (repeats: number) => {
    let loss = 0;
    const start = performance.now();
    for (let i = 0; i < repeats; i++) loss = await step(batches[steps++ % BATCHES] as Batch);
    return { seconds: (performance.now() - start) / 1e3 / repeats, sample: [loss] };
  };
  return { name: OURS, take };
}

function eagerStep(model: Transformer, optimizer: AdamW): Step {
  return async ({ source, target }) => {
    const loss = model.device.scope(() => {
      const result = model.loss(source, target, { labelSmoothing: LABEL_SMOOTHING });
      result.backward();
      optimizer.step({ maxNorm: 1 });
      optimizer.zeroGrad();
      return result;
    });
    const value = await loss.item();
    loss.dispose();
    return value;
  };
}

/** A recorded step for batches that have targets only. */
function recordedStep(model: Transformer, optimizer: AdamW, first: Batch): Step {
  const { input, labels } = model.shift(first.target);
  const program = model.device.record(() => {
    const loss = model.loss(null, { input, labels }, { labelSmoothing: LABEL_SMOOTHING });
    loss.backward();
    optimizer.apply({ maxNorm: 1 });
    optimizer.zeroGrad();
    return loss;
  });
  return ({ target }) => {
    input.ids.write(Int32Array.from(target.flatMap((row) => row.slice(0, -1))));
    labels.write(Int32Array.from(target.flatMap((row) => row.slice(1))));
    return program.run(optimizer.advance()).item();
  };
}

/** Makes steps whose products are in bfloat16. */
function inBfloat16(make: MakeStep): MakeStep {
  return (model, optimizer, first) => {
    const { device } = model;
    const step = device.withMatmul('bfloat16', () => make(model, optimizer, first));
    return (batch) => device.withMatmul('bfloat16', () => step(batch));
  };
}

/**
 * Compares the losses of three steps of all contestants. The second loss is only right if the first gradients and
 * AdamW's first step were.
 */
async function checkLosses(contestants: readonly Contestant[]): Promise<void> {
  for (let step = 0; step < 3; step++) {
    const losses: (readonly number[])[] = [];
    for (const { take } of contestants) losses.push((await take(1)).sample ?? []);
    for (const [i, loss] of losses.entries()) {
      agree(OURS, losses[0] as number[], (contestants[i] as Contestant).name, loss, TOLERANCE);
    }
  }
}

function makeBatches({ model, batch, source, target }: Task): Batch[] {
  const random = new Random(1);
  const sequences = ([shortest, longest]: readonly [number, number], vocabulary: number) =>
    Array.from({ length: batch }, () => {
      const length = shortest + random.below(longest - shortest + 1);
      return Array.from({ length }, () => 3 + random.below(vocabulary - 3));
    });
  return Array.from({ length: BATCHES }, () => ({
    source: source && sequences(source, model.sourceVocab ?? 0),
    target: sequences(target, model.targetVocab ?? 0),
  }));
}

/** Rows of equal length, as PyTorch expects them. */
function padded({ source, target }: Batch): Batch {
  const pad = (rows: number[][]) => {
    const longest = Math.max(...rows.map((row) => row.length));
    return rows.map((row) => [...row, ...Array<number>(longest - row.length).fill(0)]);
  };
  return { source: source && pad(source), target: pad(target) };
}

/**
 * Counts the work. The backward pass has two products for each product of the forward pass. Weights, gradients and
 * AdamW's moments are read and written once.
 */
function trainingWork(model: Transformer, { batch, source, target }: Task) {
  const middle = ([shortest, longest]: readonly [number, number]) => Math.round((shortest + longest) / 2);
  const lengths = { source: middle(source ?? [1, 1]), target: middle(target) - 1 };
  const { forwardFlops, parameters } = modelCost(model, lengths);
  const products = { flops: 3 * batch * forwardFlops, bytes: 4 * parameters };
  return {
    steps: [
      [1, products],
      [1, { reads: 4, writes: 3, bytes: 4 * parameters }],
    ],
  } as const;
}
