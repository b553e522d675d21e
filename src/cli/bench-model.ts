// How fast a pretrained model reads and writes here.

import type { Device } from '../core/device.js';
import { Random } from '../core/random.js';
import { type LoadModelOptions, loadModel } from '../pretrained/index.js';
import { ggufAt } from './gguf-info.js';

export interface ModelSpeed {
  readonly loadMilliseconds: number;
  /** Tokens a second of all sequences: of what is read, and of what is written, which encoders do not. */
  readonly read: number;
  readonly written: number | null;
  /** In the heap once it is loaded. */
  readonly bytes: number;
}

export interface ModelBench {
  readonly weights?: LoadModelOptions['weights'];
  readonly batch: number;
  /** Tokens that each sequence reads, and writes. */
  readonly length: number;
  readonly tokens: number;
}

/** Medians of several runs each. */
export async function benchModel(device: Device, name: string, bench: ModelBench): Promise<ModelSpeed> {
  const start = performance.now();
  using model = await loadModel(device, ggufAt(name) ?? name, { weights: bench.weights });
  const loadMilliseconds = performance.now() - start;
  const bytes = device.memory().used;
  const { batch, length, tokens } = bench;
  const random = new Random(0);
  const ids = Array.from({ length: batch }, () => Array.from({ length }, () => random.below(model.vocabSize)));
  const pass = async (count: number) => {
    if (model.decoder === null) {
      device.scope(() => model.forward({ inputIds: ids }));
      return device.flush();
    }
    const lengths = { maxNewTokens: count, minNewTokens: count };
    await model.generate(ids, { ...lengths, doSample: false, numBeams: 1, batchSize: batch });
  };
  const first = await medianOf(() => pass(1));
  const read = (1000 * batch * length) / first;
  if (model.decoder === null || tokens < 2) return { loadMilliseconds, read, written: null, bytes };
  const all = await medianOf(() => pass(tokens));
  return { loadMilliseconds, read, written: (1000 * batch * (tokens - 1)) / (all - first), bytes };
}

/** Milliseconds, after a pass that warms up. */
async function medianOf(run: () => Promise<void>): Promise<number> {
  await run();
  const times: number[] = [];
  for (const end = performance.now() + 2000; times.length < 3 || performance.now() < end; ) {
    const start = performance.now();
    await run();
    times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b)[times.length >> 1] as number;
}
