// Loading a checkpoint of halves, beside reading its bytes.

import { closeSync, mkdtempSync, openSync, readSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDevice } from '../../src/index.js';
import { loadModel } from '../../src/pretrained/index.js';
import type { Run } from '../harness/bench.js';
import { type Contestant, contest } from '../harness/contest.js';
import { OURS } from '../harness/ours.js';
import { modelFolder } from './model-folder.js';

export async function measureLoading(run: Run): Promise<void> {
  const what = 'SmolLM2 135M, loading its float16';
  if (!run.wants(what)) return;
  const file = modelFolder(run, 'smollm2-135m/SmolLM2-135M-Instruct.Q4_1.gguf');
  if (file === null) return;
  const folder = mkdtempSync(join(tmpdir(), 'simdformer-pretrained-'));
  try {
    const device = await createDevice({ threads: run.threads });
    await (await loadModel(device, file, { weights: 'float32' })).save(folder, { dtype: 'float16' });
    device.dispose();
    const path = join(folder, 'model.safetensors');
    const contestants = [loading(run, folder, OURS), loading(run, folder, 'as halves', 'auto'), reading(path)];
    const outcome = await contest(contestants, { rounds: run.rounds(7), turn: 0, seconds: 8 });
    run.row(what, outcome, { 'GB/s': statSync(path).size / (outcome.times[OURS]?.median as number) / 1e9 });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Loads into a new device every time, so the system must provide new memory. */
function loading(run: Run, folder: string, name: string, weights: 'float32' | 'auto' = 'float32'): Contestant {
  return {
    name,
    isReference: name !== OURS,
    take: async () => {
      const device = await createDevice({ threads: run.threads });
      const start = performance.now();
      await loadModel(device, folder, { weights });
      await device.flush();
      const seconds = (performance.now() - start) / 1e3;
      device.dispose();
      return { seconds };
    },
  };
}

/** Reads into new memory, too. */
function reading(path: string): Contestant {
  return {
    name: 'reading the file',
    isReference: true,
    take: () => {
      const start = performance.now();
      const file = openSync(path, 'r');
      const bytes = Buffer.allocUnsafeSlow(statSync(path).size);
      for (let at = 0; at < bytes.length; ) at += readSync(file, bytes, at, bytes.length - at, null);
      closeSync(file);
      return { seconds: (performance.now() - start) / 1e3 };
    },
  };
}
