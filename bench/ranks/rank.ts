// Trains a model of 5 M parameters as one rank, or alone: `rank.ts JSON`. Rank 0 prints the seconds of steps.

import { createDevice, fit, Transformer } from '../../src/index.js';
import { mpi } from '../../src/mpi/index.js';
import type { World } from '../../src/train/world.js';

export interface RankJob {
  readonly threads: number;
  readonly steps: number;
  readonly gradientAccumulation: number;
  /** Gradients travel while the backward pass runs, after it, or not at all, as if there were no other ranks. */
  readonly travel: 'overlapped' | 'after' | 'never';
}

export interface Timed {
  readonly parameters: number;
  readonly seconds: readonly number[];
}

const job = JSON.parse(process.argv[2] as string) as RankJob;
const world = await mpi();
const device = await createDevice({ threads: job.threads });
const sizes = { dModel: 256, heads: 4, encoderLayers: 3, decoderLayers: 3, sourceVocab: 500, targetVocab: 500 };
const model = new Transformer(device, { ...sizes, dropout: 0, seed: 1 });
const tokens = (n: number, length: number) => Array.from({ length }, (_, i) => 3 + ((n * 31 + i * 17) % 490));
const examples = Array.from({ length: 16 }, (_, n) => ({ source: tokens(n, 32), target: tokens(n, 33) }));

/** Returns a world in which buckets wait for the end of the step, or are not sent at all. */
function slowed(world: World, travel: RankJob['travel']): World {
  if (travel === 'overlapped') return world;
  let waiting: (() => void)[] = [];
  const elements = model.parameters().reduce((sum, { size }) => sum + size + 1, 0); // a flag for each parameter
  let gathered = 0;
  const reduce: World['reduce'] = async (values, sum, options) => {
    if (travel === 'never') return;
    gathered += values.length;
    if (gathered < elements) await new Promise<void>((resolve) => waiting.push(resolve));
    else {
      for (const go of waiting) go();
      [waiting, gathered] = [[], 0];
      await undefined; // earlier callbacks run first
    }
    return world.reduce(values, sum, options);
  };
  const { rank, size } = world;
  const others = Object.fromEntries(
    (['exchange', 'exchangeText', 'broadcast', 'allGather', 'fail'] as const).map((name) => [
      name,
      (world[name] as () => unknown).bind(world),
    ]),
  );
  return { rank, size, reduce, ...others } as unknown as World;
}

const seconds: number[] = [];
let last = performance.now();
await fit(model, examples, {
  steps: job.steps,
  batchSize: 8,
  gradientAccumulation: job.gradientAccumulation,
  schedule: () => 1e-5,
  world: slowed(world, job.travel),
  onStep() {
    seconds.push((performance.now() - last) / 1000);
    last = performance.now();
  },
});
const parameters = model.parameters().reduce((sum, { size }) => sum + size, 0);
const timed: Timed = { parameters, seconds: seconds.slice(1) };
if (world.rank === 0) console.log(JSON.stringify(timed));
device.dispose();
