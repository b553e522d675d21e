// A row of bench/train.ts: nanoGPT's whole script for CPUs, including estimates of the loss, beside the same in
// PyTorch.

import { fileURLToPath } from 'node:url';
import { fitSettings, readTask } from '../../src/cli/config.js';
import type { PreparedTask } from '../../src/cli/prepared-task.js';
import { prepareTask } from '../../src/cli/tasks.js';
import { type Device, fit } from '../../src/index.js';
import type { Run } from './bench.js';
import { OURS } from './ours.js';
import { pytorch } from './peers.js';
import { summarize } from './statistics.js';

/** The text of github.com/karpathy/char-rnn. */
const TEXT = fileURLToPath(new URL('../../test/data/corpora/tinyshakespeare/input.txt', import.meta.url));
/** `LEG`: steps between two estimates. `BATCHES`: batches of each split for an estimate. */
const LEG = 250;
const ESTIMATES = 20;

/** A side that trains some steps and an estimate at a time, so that the sides can take turns. */
interface Trainer {
  readonly name: string;
  /** Seconds that `steps` more steps and an estimate took. */
  train(steps: number): Promise<number>;
  /** Returns the loss over the whole held-out tenth of the text. */
  loss(): Promise<number>;
}

/** Both sides draw their own initial weights, so their losses differ. */
export async function wholeScript(run: Run, device: Device): Promise<void> {
  const steps = run.options.quick ? 100 : 2000;
  const what = `nanoGPT's script, ${steps} steps`;
  if (!run.wants(what)) return;
  const task = await prepareTask(device, await readTask('characters', { data: TEXT, steps }));
  const trainers = [ourTrainer(device, task), ...(await torchTrainer(run, steps))];
  const seconds = trainers.map(() => 0);
  const legs = Array.from({ length: Math.ceil(steps / LEG) }, (_, i) => Math.min(LEG, steps - i * LEG));
  for (const [turn, leg] of [0, ...legs].entries()) {
    for (let i = 0; i < trainers.length; i++) {
      const who = (i + turn) % trainers.length;
      seconds[who] = (seconds[who] as number) + (await (trainers[who] as Trainer).train(leg));
    }
  }
  const entries = trainers.map(({ name }, i) => [name, seconds[i] as number] as const);
  const ratios = entries.slice(1).map(([name, time]) => [name, time / (seconds[0] as number)]);
  const losses: [string, number][] = [];
  for (const trainer of trainers) losses.push([`validation loss of ${trainer.name}`, await trainer.loss()]);
  const times = Object.fromEntries(entries.map(([name, time]) => [name, summarize([time])]));
  run.row(what, { times, ratios: Object.fromEntries(ratios), shares: {} }, Object.fromEntries(losses));
  task.optimizer.dispose();
  task.model.dispose();
}

function ourTrainer(device: Device, task: PreparedTask): Trainer {
  const { config, model, batches, schedule, optimizer } = task;
  const validate = task.validate as (step: number) => Promise<Record<string, number>>;
  const estimate = async () => {
    model.eval();
    for (let i = 0; i < ESTIMATES; i++) {
      const loss = device.noGrad(() =>
        model.loss(
          null,
          batches.batch(task.steps + i).map(({ target }) => target),
        ),
      );
      await loss.item();
      loss.dispose();
    }
    await validate(0); // reads an equal number of windows of the held-out text
  };
  let done = 0;
  return {
    name: OURS,
    async train(steps) {
      const start = performance.now();
      const first = done;
      const rest = { perEpoch: batches.perEpoch, batch: (n: number) => batches.batch(first + n) };
      const settings = { ...fitSettings(config), schedule: (step: number) => schedule(first + step) };
      if (steps > 0) await fit(model, rest, { ...settings, steps, optimizer });
      done += steps;
      await estimate();
      return (performance.now() - start) / 1e3;
    },
    loss: async () => (await validate(task.steps)).loss as number,
  };
}

async function torchTrainer(run: Run, steps: number): Promise<Trainer[]> {
  const peer = await pytorch(run, 'nanogpt_torch.py');
  if (peer === null) return [];
  await peer.ask({ text: TEXT, steps, warmup: Math.min(100, steps / 4) });
  const train = async (count: number) => (await peer.ask<{ seconds: number }>({ train: count })).seconds;
  return [{ name: 'PyTorch', train, loss: async () => (await peer.ask<{ loss: number }>({ heldOut: true })).loss }];
}
