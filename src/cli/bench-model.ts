// Measures the speed of a pretrained model on this machine, for reading prompts and for generating.

import type { Device } from '../core/device.js';
import { ArgumentError } from '../core/errors.js';
import { Random } from '../core/random.js';
import { type LoadModelOptions, loadModel } from '../pretrained/index.js';
import { ggufAt } from './gguf-info.js';

export interface ModelSpeed {
  readonly loadMilliseconds: number;
  /** Tokens per second over all sequences, for reading and for generating. Null for encoders, which do not generate. */
  readonly read: number;
  readonly written: number | null;
  /** Bytes of the heap after loading. */
  readonly bytes: number;
}

export interface ModelBench {
  readonly weights?: LoadModelOptions['weights'];
  readonly batch: number;
  /** Number of tokens that each sequence reads and generates. */
  readonly length: number;
  readonly tokens: number;
}

/** Measures a model. Each number is the median of several runs. */
export async function benchModel(device: Device, name: string, bench: ModelBench): Promise<ModelSpeed> {
  const start = performance.now();
  using model = await loadModel(device, ggufAt(name) ?? name, { weights: bench.weights });
  const loadMilliseconds = performance.now() - start;
  const bytes = device.memory().used;
  const { batch, length, tokens } = bench;
  if (length > model.maxLength)
    throw new ArgumentError(`--length is ${length}, but ${name} reads at most ${model.maxLength} tokens`);
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
  const writes = model.decoder !== null && tokens > 1;
  const [first = 0, rest = 0] = await medians(writes ? [() => pass(1), () => pass(tokens)] : [() => pass(1)]);
  const read = (1000 * batch * length) / first;
  // For very small models the difference vanishes in noise and is not reported.
  const written = writes && rest > first ? (1000 * batch * (tokens - 1)) / (rest - first) : null;
  return { loadMilliseconds, read, written, bytes };
}

/** Returns the median milliseconds of each function. The functions run alternately, after one warm-up. */
async function medians(runs: readonly (() => Promise<void>)[]): Promise<number[]> {
  const times = runs.map((): number[] => []);
  for (const run of runs) await run();
  for (const end = performance.now() + 2000 * runs.length; (times[0]?.length ?? 0) < 3 || performance.now() < end; )
    for (const [i, run] of runs.entries()) {
      const start = performance.now();
      await run();
      times[i]?.push(performance.now() - start);
    }
  return times.map((samples) => samples.sort((a, b) => a - b)[samples.length >> 1] as number);
}
