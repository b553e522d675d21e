// A rank of a job that trains a small model: `rank.ts JSON`. Rank 0 prints what came of it as JSON.

import { createHash } from 'node:crypto';
import { createDevice, type FitOptions, fit, Transformer, type TransformerOptions } from '../../src/index.js';
import { mpi } from '../../src/mpi/index.js';
import { Adafactor, AdamW, type AdamWOptions, Lion, parameterGroups, SGD } from '../../src/train/index.js';

export interface Job {
  readonly options: FitOptions;
  readonly timeout?: number;
  readonly optimizer?: keyof typeof optimizers;
  /** Other sizes than the small ones. */
  readonly sizes?: Partial<TransformerOptions>;
  /** A rank that has another option, or does this at a step. */
  readonly odd?: {
    readonly rank: number;
    readonly options?: FitOptions;
    /** Its AdamW's, where the others have none. */
    readonly adamw?: AdamWOptions;
    /** Number of its examples, of 64. */
    readonly examples?: number;
    readonly step?: number;
    readonly does?: Odd;
  };
}

export type Odd = 'throws' | 'stops' | 'dies' | 'exits';

export interface Outcome {
  readonly size: number;
  readonly losses: readonly number[];
  readonly steps: readonly number[];
  readonly tokens: number;
  /** Hash of the weights. */
  readonly hash: string;
  /** Bytes of the device's memory in use at the last step. */
  readonly memory: number;
  /** Bytes of the weights. */
  readonly weights: number;
}

const optimizers = {
  adamw: (model: Transformer) => new AdamW(parameterGroups(model, [{ pattern: /bias$/, weightDecay: 0 }])),
  adafactor: (model: Transformer) => new Adafactor(model.parameters(), { beta1: 0.9 }),
  lion: (model: Transformer) => new Lion(model.parameters()),
  sgd: (model: Transformer) => new SGD(model.parameters(), { momentum: 0.9 }),
};

const { options, timeout, odd, optimizer, sizes: others } = JSON.parse(process.argv[2] as string) as Job;
const world = await mpi({ timeout });
const isOdd = odd?.rank === world.rank;
const device = await createDevice({ threads: 1 });
const sizes = { dModel: 32, heads: 2, dFF: 64, encoderLayers: 1, decoderLayers: 1, sourceVocab: 20, targetVocab: 20 };
const model = new Transformer(device, { ...sizes, ...others, dropout: 0.1, seed: world.rank }); // rank 0's weights are everyone's
const examples = Array.from({ length: (isOdd && odd.examples) || 64 }, (_, i) => ({
  source: [3 + (i % 17), 4, 5 + (i % 3)].slice(0, 1 + (i % 3)),
  target: [1, 3 + ((i * 7) % 17), 4, 2],
}));

function misbehave(does: Odd | undefined): void {
  if (does === 'throws') throw new Error('of the user');
  if (does === 'exits') process.exit(3);
  if (does === 'stops' || does === 'dies') process.kill(process.pid, does === 'stops' ? 'SIGSTOP' : 'SIGKILL');
}

console.error(`rank ${world.rank} is process ${process.pid}`);
const steps: number[] = [];
let tokens = 0;
let memory = 0;
try {
  const { losses } = await fit(model, examples, {
    ...options,
    world,
    ...(optimizer && { optimizer: optimizers[optimizer](model) }),
    seed: 3,
    ...(isOdd && odd.options),
    ...(isOdd && odd.adamw && { optimizer: new AdamW(model.parameters(), odd.adamw) }),
    onStep(progress) {
      steps.push(progress.step);
      memory = device.memory().used;
      ({ tokens } = progress);
      if (isOdd && progress.step === odd.step) misbehave(odd.does);
    },
  });
  const hash = createHash('sha256');
  for (const parameter of model.parameters()) hash.update((await parameter.data()) as Float32Array);
  const weights = model.parameters().reduce((sum, { size }) => sum + 4 * size, 0);
  const outcome: Outcome = { size: world.size, losses, steps, tokens, hash: hash.digest('hex'), memory, weights };
  if (world.rank === 0) console.log(JSON.stringify(outcome));
} catch (error) {
  console.error(`rank ${world.rank}: ${(error as Error).name}: ${(error as Error).message}`);
  process.exitCode = 1;
}
device.dispose();
