// A step of fine-tuning a classifier: forward with dropout, backward, clipping, AdamW. It trains all weights or an
// adapter, beside transformers and PEFT on PyTorch, with equal weights and batches.
//
//     PYTHON=venv/bin/python FINETUNE_MODEL=…/all-MiniLM-L6-v2 npm run bench -- finetune

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { corpus } from '../scripts/corpora.mjs';
import { encodeText } from '../src/finetune/encoded.js';
import { type ClassificationRow, type Lora, lora, readRows, SequenceClassification } from '../src/finetune/index.js';
import { AdamW, createDevice, type Device } from '../src/index.js';
import { Random } from '../src/nn/index.js';
import { type LoadedModel, loadModel } from '../src/pretrained/index.js';
import type { Bench, Run } from './harness/bench.js';
import { agree, type Contestant, contest, type Turn } from './harness/contest.js';
import { describeDevice } from './harness/machine.js';
import { OURS } from './harness/ours.js';
import { pytorch } from './harness/peers.js';

/** `BATCH`: rows of a batch. `BATCHES`: number of batches, all of which are used in each turn. */
const BATCH = 32;
const BATCHES = 4;
const RANK = 8;
/** Largest difference of losses without dropout. */
const TOLERANCE = 1e-4;

type Rows = readonly ClassificationRow[];

interface Trainer {
  readonly contestant: Contestant;
  /** The loss of the first batch, without dropout. */
  check(): Promise<number>;
}

export default {
  question: 'How fast is a step of fine-tuning, beside PyTorch?',
  async run(run) {
    const folder = process.env.FINETUNE_MODEL;
    if (!folder) return run.note('Fine-tuning is NOT measured: FINETUNE_MODEL names no folder of an encoder');
    const batches = await batchesOf(join(await corpus('sst2'), 'stsa.binary.train.txt'));
    const device = await createDevice({ threads: run.threads });
    run.version(OURS, describeDevice(device));
    const work = mkdtempSync(join(tmpdir(), 'simdformer-finetune-'));
    try {
      const all = await trainer(device, folder, batches, null);
      if (run.wants('all weights')) {
        const torch = await torchTrainer(run, all, batches, work);
        await measure(run, 'all weights', [all, ...torch], {});
      }
      if (run.wants('LoRA')) {
        const low = await trainer(device, folder, batches, RANK);
        const torch = await torchTrainer(run, low, batches, work);
        const beside = { ...all, contestant: { ...all.contestant, name: `${OURS}, all weights` } };
        const share = low.bytes / all.bytes;
        await measure(run, `LoRA, r ${RANK}`, [low, ...torch, beside], { 'share of gradients and states': share });
        low.model.dispose();
        const packed = await trainer(device, folder, batches, RANK, 'int8');
        await measure(run, `LoRA, r ${RANK}, int8 base`, [packed, beside], {});
        packed.model.dispose();
      }
      all.model.dispose();
    } finally {
      rmSync(work, { recursive: true });
      device.dispose();
    }
  },
} satisfies Bench;

async function measure(run: Run, what: string, trainers: readonly Trainer[], figures: Record<string, number>) {
  const [ours, ...peers] = trainers as [Trainer, ...Trainer[]];
  const own = await ours.check();
  for (const { contestant, check } of peers)
    if (contestant.name === 'PyTorch') agree(OURS, [own], contestant.name, [await check()], TOLERANCE);
  const contestants = trainers.map(({ contestant }) => contestant);
  const outcome = await contest(contestants, { rounds: run.rounds(7), seconds: 40 });
  run.row(what, outcome, { ...figures, 'sentences/s': BATCH / (outcome.times[OURS]?.median as number) });
}

async function batchesOf(path: string): Promise<Rows[]> {
  const rows: ClassificationRow[] = [];
  for await (const row of readRows(path)) rows.push(row as unknown as ClassificationRow);
  const chosen = new Random(1).shuffle(rows).slice(0, BATCH * BATCHES);
  return Array.from({ length: BATCHES }, (_, i) => chosen.slice(i * BATCH, (i + 1) * BATCH));
}

interface OurTrainer extends Trainer {
  readonly model: LoadedModel;
  readonly adapter: Lora | null;
  /** Bytes of gradients and of the optimiser's states. */
  readonly bytes: number;
}

async function trainer(
  device: Device,
  folder: string,
  batches: readonly Rows[],
  rank: number | null,
  weights: 'float32' | 'int8' = 'float32',
): Promise<OurTrainer> {
  const head = { head: 'sequence-classification', labels: ['0', '1'], weights, onWarning: () => {} } as const;
  const model = await loadModel(device, folder, head);
  const adapter = rank === null ? null : lora(model, { r: rank, alpha: 2 * rank });
  const objective = new SequenceClassification(model);
  const trained = model.parameters().filter(({ requiresGrad }) => requiresGrad);
  const optimizer = new AdamW(trained, { lr: 1e-5, weightDecay: 0 });
  const lossOf = (rows: Rows) => objective.lossOf(rows, {});
  const step = async (rows: Rows) => {
    const loss = device.scope(() => {
      const result = lossOf(rows);
      result.backward();
      optimizer.step({ maxNorm: 1 });
      optimizer.zeroGrad();
      return result;
    });
    await loss.item();
    loss.dispose();
  };
  const take = async (repeats: number): Promise<Turn> => {
    model.train();
    const start = performance.now();
    for (let i = 0; i < repeats; i++) for (const rows of batches) await step(rows);
    return { seconds: (performance.now() - start) / 1e3 / repeats / BATCHES };
  };
  const check = async () => {
    model.eval();
    const loss = device.noGrad(() => device.scope(() => lossOf(batches[0] as Rows)));
    return loss.item();
  };
  const elements = (tensors: Iterable<{ size: number }>) => [...tensors].reduce((sum, { size }) => sum + size, 0);
  const bytes = 4 * (elements(trained) + elements(optimizer.state().tensors.values()));
  return { contestant: { name: OURS, take }, check, model, adapter, bytes };
}

/** Starts the model in PyTorch, which reads the files that our model saves. */
async function torchTrainer(run: Run, ours: OurTrainer, batches: readonly Rows[], work: string): Promise<Trainer[]> {
  const peer = await pytorch(run, 'finetune_torch.py');
  if (peer === null) return [];
  const { model, adapter } = ours;
  const base = join(work, adapter ? 'base' : 'model');
  await model.save(base);
  const folder = adapter && join(work, 'adapter');
  if (folder) await adapter?.save(folder, { baseModel: base });
  const encoded = batches.map((rows) => ({
    ids: rows.map(({ text }) => encodeText(model, text, undefined, 512).inputIds),
    labels: rows.map(({ label }) => Number(label)),
  }));
  await peer.ask({ load: base, adapter: folder, batches: encoded });
  const check = async () => (await peer.ask<{ loss: number }>({ check: true })).loss;
  return [{ contestant: { name: 'PyTorch', take: (repeats) => peer.ask<Turn>({ repeats }) }, check }];
}
