// Measures a busy machine: another process uses a core, or four devices run at once.

import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { createDevice } from '../src/index.js';
import { saveSafetensors } from '../src/io/index.js';
import type { Bench, Run } from './harness/bench.js';
import { Burner } from './harness/burner.js';
import { type Contestant, contest, type Turn } from './harness/contest.js';
import { encoderSizes, makeEncoder, PERIOD, recordEncoder, stackOf } from './harness/encoders.js';
import { describeDevice } from './harness/machine.js';
import { OURS, recorded } from './harness/ours.js';
import { pytorch } from './harness/peers.js';
import { summarize } from './harness/statistics.js';

const CONTENDED = ', beside a burning process';
const DEVICES = 4;
const BATCH = [1, 128] as const;

export default {
  question: 'How gracefully do we share the machine with another process, and with ourselves?',
  async run(run) {
    const torch = await pytorch(run, 'encoder_torch.py');
    const device = await createDevice({ threads: run.threads });
    run.version(OURS, describeDevice(device));
    for (const [name, sizes] of Object.entries(encoderSizes)) {
      const what = `${name}, 1 × 128 tokens`;
      if (!run.wants(what)) continue;
      const model = makeEncoder(device, sizes);
      const { program, dispose } = recordEncoder(device, model, BATCH);
      const contestants: Contestant[] = [recorded(device, program)];
      if (torch) {
        const folder = mkdtempSync(join(tmpdir(), 'simdformer-contention-'));
        try {
          const weights = join(folder, 'encoder.safetensors');
          await saveSafetensors(weights, stackOf(model).stateDict());
          await torch.ask({ load: weights, ...sizes });
        } finally {
          rmSync(folder, { recursive: true });
        }
        const question = { batch: 1, tokens: 128, dModel: sizes.dModel, period: PERIOD };
        contestants.push({ name: 'PyTorch', take: (repeats) => torch.ask<Turn>({ ...question, repeats }) });
      }
      await beside(run, what, contestants);
      dispose();
      model.dispose();
    }
    device.dispose();
    const what = `${DEVICES} devices in worker threads, 6 × 384, 1 × 128 tokens`;
    if (run.wants(what)) await devices(run, what);
  },
} satisfies Bench;

/** Measures all contestants alone and beside the burner, in alternating turns. */
async function beside(run: Run, what: string, contestants: readonly Contestant[]): Promise<void> {
  const burner = new Burner();
  const contended = ({ name, take }: Contestant): Contestant => ({
    name: name + CONTENDED,
    isReference: true,
    take: async (repeats) => {
      burner.burn(true);
      try {
        return await take(repeats);
      } finally {
        burner.burn(false);
      }
    },
  });
  try {
    const all = [...contestants, ...contestants.map(contended)];
    const outcome = await contest(all, { rounds: run.rounds(15), seconds: 10 });
    const { times } = outcome;
    const slower = contestants.map(({ name }): [string, number] => {
      return [`${name}, times as long`, (times[name + CONTENDED]?.median as number) / (times[name]?.median as number)];
    });
    run.row(what, outcome, Object.fromEntries(slower));
  } finally {
    burner.close();
  }
}

/** Measures passes per second of all devices together, beside those of one device. */
async function devices(run: Run, what: string): Promise<void> {
  const workers = Array.from(
    { length: DEVICES },
    () => new Worker(new URL('harness/encoder-worker.mjs', import.meta.url), { workerData: { threads: run.threads } }),
  );
  const pass = async (some: readonly Worker[]): Promise<number[]> => {
    const rates = some.map(async (worker) => {
      worker.postMessage({ seconds: 0.5 });
      const [rate] = await once(worker, 'message');
      return rate as number;
    });
    return Promise.all(rates);
  };
  await Promise.all(workers.map((worker) => once(worker, 'message')));
  const alone: number[] = [];
  const together: number[] = [];
  const shares: number[] = [];
  for (let round = 0; round < run.rounds(7); round++) {
    alone.push(...(await pass(workers.slice(0, 1))));
    const rates = await pass(workers);
    together.push(rates.reduce((sum, rate) => sum + rate, 0));
    shares.push(Math.min(...rates) / Math.max(...rates));
  }
  await Promise.all(workers.map((worker) => worker.terminate()));
  const times = {
    [OURS]: summarize(together.map((rate) => 1 / rate)),
    'one device alone': summarize(alone.map((rate) => 1 / rate)),
  };
  const throughput = summarize(together.map((rate, i) => rate / (alone[i] as number))).median;
  run.row(
    what,
    { times, ratios: {}, shares: {} },
    {
      'together, of what one does alone': throughput,
      'least share of a device, of the largest': summarize(shares).median,
    },
  );
}
