// all-MiniLM-L6-v2: the forward pass from ids to the last hidden state, and from texts to vectors.

import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { corpus } from '../../scripts/corpora.mjs';
import type { Device, Tensor } from '../../src/index.js';
import type { Bert } from '../../src/models/families/bert.js';
import { type LoadedModel, loadModel } from '../../src/pretrained/index.js';
import { pipeline } from '../../src/tasks/index.js';
import type { Run } from '../harness/bench.js';
import { type Contestant, contest } from '../harness/contest.js';
import { OURS } from '../harness/ours.js';
import type { Peer } from '../harness/peer.js';
import { asContestant, bertByOnnx, bertByTransformers } from '../harness/peers.js';
import { bertOnnx } from '../peers/encoder-onnx.js';
import { modelFolder } from './model-folder.js';

const [COUNT, BATCH] = [512, 32];
/** Tolerance of results: six layers in float32, with sums in another order. */
const TOLERANCE = 1e-3;

type Batches = readonly (readonly (readonly number[])[])[];

export async function measureMiniLM(run: Run, device: Device, byCTranslate2: Peer | null): Promise<void> {
  const folder = modelFolder(run, 'all-MiniLM-L6-v2');
  if (folder === null) return;
  const model = await loadModel(device, folder);
  const peers = {
    'ONNX Runtime': await bertByOnnx(run),
    'transformers.js': await bertByTransformers(run),
    CTranslate2: byCTranslate2,
  };
  await loadPeers(run, folder, model, peers);
  const texts = await captions(run);
  const tasks: [string, Batches][] = [
    ['MiniLM, 1 × 16 tokens', [rowsOf(1, 16)]],
    ['MiniLM, 8 × 128 tokens', [rowsOf(8, 128)]],
  ];
  if (texts) tasks.unshift([`MiniLM, ${COUNT} captions`, batchesOf(model, texts)]);
  for (const [what, batches] of tasks) {
    if (!run.wants(what)) continue;
    const contestants = [
      forward(device, model, batches),
      ...Object.entries(peers).flatMap(([name, peer]) => asContestant(name, peer, (repeats) => ({ batches, repeats }))),
    ];
    const outcome = await contest(contestants, {
      rounds: run.rounds(11),
      tolerance: TOLERANCE,
      turn: 0.2,
      seconds: 12,
    });
    const tokens = batches.flat().reduce((sum, row) => sum + row.length, 0);
    run.row(what, outcome, { 'tokens/s': tokens / (outcome.times[OURS]?.median as number) });
  }
  const what = `MiniLM, ${COUNT} captions, from texts to vectors`;
  if (texts && run.wants(what)) {
    const question = (repeats: number) => ({ texts, batchSize: BATCH, repeats });
    const peer = asContestant('transformers.js', peers['transformers.js'], question);
    const contestants = [await fromTexts(device, folder, texts), ...peer];
    run.row(what, await contest(contestants, { rounds: run.rounds(7), tolerance: TOLERANCE, turn: 0.2, seconds: 8 }));
  }
  model.dispose();
}

/** Prepares the peers. Our weights are written as ONNX; CTranslate2 converts the original model. */
async function loadPeers(run: Run, folder: string, model: LoadedModel, peers: Record<string, Peer | null>) {
  const work = mkdtempSync(join(tmpdir(), 'simdformer-pretrained-'));
  try {
    const names = ['config.json', 'tokenizer.json', 'tokenizer_config.json'];
    for (const name of names) cpSync(join(folder, name), join(work, name));
    mkdirSync(join(work, 'onnx'));
    writeFileSync(join(work, 'onnx/model.onnx'), bertOnnx(model as unknown as Bert));
    for (const [name, peer] of Object.entries(peers))
      await peer?.ask(
        name === 'CTranslate2'
          ? { bert: folder, into: join(work, 'ctranslate2') }
          : { load: work, threads: run.threads },
      );
  } finally {
    rmSync(work, { recursive: true });
  }
}

/** Returns the first captions, sorted by length. */
async function captions(run: Run): Promise<string[] | null> {
  try {
    const file = readFileSync(join(await corpus('multi30k'), 'train.en.gz'));
    const lines = gunzipSync(file).toString().split('\n').slice(0, COUNT);
    return lines.sort((a, b) => a.length - b.length);
  } catch (error) {
    run.note(`Captions are NOT measured: ${(error as Error).message}`);
    return null;
  }
}

function batchesOf({ tokenizer }: LoadedModel, texts: readonly string[]): Batches {
  const rows = texts.map((text) => tokenizer?.encode(text) ?? []).sort((a, b) => a.length - b.length);
  return Array.from({ length: COUNT / BATCH }, (_, i) => rows.slice(i * BATCH, (i + 1) * BATCH));
}

const rowsOf = (size: number, tokens: number) =>
  Array.from({ length: size }, (_, row) =>
    Array.from({ length: tokens }, (__, i) => 1000 + ((row * 131 + i * 37) % 9000)),
  );

function forward(device: Device, model: LoadedModel, batches: Batches): Contestant {
  const pass = (rows: Batches[number]) => model.forward({ inputIds: rows }).lastHiddenState as Tensor;
  return {
    name: OURS,
    take: (repeats) => {
      const start = performance.now();
      for (let i = 0; i < repeats; i++) {
        for (const rows of batches) device.scope(() => device.noGrad(() => pass(rows)));
        device.flushSync();
      }
      const seconds = (performance.now() - start) / 1e3 / repeats;
      const rows = batches.at(-1) as Batches[number];
      return device.scope(() => ({ seconds, sample: firstTokens(pass(rows), rows) }));
    },
  };
}

/** A sample of features of the first tokens, as peers return it. Features of padding do not count. */
function firstTokens(hidden: Tensor, rows: Batches[number]): number[] {
  const [values, size] = [hidden.dataSync(), rows.length];
  const features = hidden.shape.at(-1) as number;
  const time = hidden.size / features / size;
  return Array.from(
    { length: 64 },
    (_, i) => values[((i * 7) % size) * time * features + ((i * 104729) % features)] as number,
  );
}

async function fromTexts(device: Device, folder: string, texts: readonly string[]): Promise<Contestant> {
  const extractor = await pipeline('feature-extraction', folder, { device });
  return {
    name: OURS,
    take: async (repeats) => {
      let last: ArrayLike<number> = [];
      const start = performance.now();
      for (let i = 0; i < repeats; i++)
        for (let at = 0; at < texts.length; at += BATCH)
          last = (await extractor(texts.slice(at, at + BATCH), { pooling: 'mean', normalize: true })).data;
      return { seconds: (performance.now() - start) / 1e3 / repeats, sample: Array.from(last).slice(-64) };
    },
  };
}
