// From `import` to the first result, and loading a model of 400 MB, in fresh processes with the built package.

import { spawnSync } from 'node:child_process';
import { closeSync, existsSync, mkdtempSync, openSync, readdirSync, readSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createDevice, Transformer } from '../src/index.js';
import type { Bench } from './harness/bench.js';
import { type Contestant, contest } from './harness/contest.js';
import { BenchError } from './harness/error.js';
import { OURS } from './harness/ours.js';
import { summarize } from './harness/statistics.js';

const probePath = fileURLToPath(new URL('harness/start-probe.mjs', import.meta.url));

function probe<Answer extends { milliseconds: number }>(...args: string[]): Answer {
  const { status, stdout, stderr } = spawnSync(process.execPath, [probePath, ...args], { encoding: 'utf8' });
  if (status !== 0) throw new BenchError(`start-probe ${args.join(' ')}: ${stderr.trim().split('\n').at(-1)}`);
  return JSON.parse(stdout) as Answer;
}

export default {
  question: 'How long is it from import to the first result, and how long does loading 400 MB take?',
  async run(run) {
    if (!existsSync(new URL('../dist/node/index.js', import.meta.url))) {
      run.note('Start is NOT measured: the package is not built. npm run build');
      return;
    }
    for (const backend of ['native', 'wasm']) {
      const what = `import to first result, ${backend}`;
      if (!run.wants(what)) continue;
      probe(backend); // reads the files into the system's cache
      const times = Array.from({ length: run.rounds(15) }, () => probe(backend).milliseconds / 1e3);
      run.row(what, { times: { [OURS]: summarize(times) }, ratios: {}, shares: {} });
    }
    const what = 'loading 400 MB of safetensors';
    if (!run.wants(what)) return;
    const folder = mkdtempSync(join(tmpdir(), 'simdformer-start-'));
    try {
      const bytes = await saveLargeModel(folder);
      let grown = 0;
      const ours: Contestant = {
        name: OURS,
        take: () => {
          const answer = probe<{ milliseconds: number; grown: number }>('load', folder);
          grown = answer.grown;
          return { seconds: answer.milliseconds / 1e3 };
        },
      };
      const reading: Contestant = {
        name: 'reading the file',
        isReference: true,
        take: () => ({ seconds: readAll(folder) }),
      };
      const outcome = await contest([ours, reading], { rounds: run.rounds(7), turn: 0, seconds: 15 });
      run.row(what, outcome, {
        'GB/s': bytes / (outcome.times[OURS]?.median as number) / 1e9,
        'memory grown, of its bytes': grown / bytes,
      });
    } finally {
      rmSync(folder, { recursive: true });
    }
  },
} satisfies Bench;

async function saveLargeModel(folder: string): Promise<number> {
  const device = await createDevice();
  const sizes = { dModel: 768, heads: 12, encoderLayers: 14, decoderLayers: 0, sourceVocab: 1000 };
  await new Transformer(device, sizes).save(folder);
  device.dispose();
  return filesOf(folder).reduce((sum, path) => sum + statSync(path).size, 0);
}

const filesOf = (folder: string) => readdirSync(folder).map((name) => join(folder, name));

/** Measures the seconds of copying the files from the system's cache, piece by piece. */
function readAll(folder: string): number {
  const piece = new Uint8Array(8 << 20);
  const start = performance.now();
  for (const path of filesOf(folder)) {
    const file = openSync(path, 'r');
    while (readSync(file, piece) > 0);
    closeSync(file);
  }
  return (performance.now() - start) / 1e3;
}
