// Language models at the sizes that people run on CPUs, with random weights, most in Q4_K_M, beside llama.cpp and
// ik_llama.cpp. Their llama-bench runs as one process per turn, ik_llama.cpp's with repacked weights (`-rtr 1`), as its
// documentation advises. The files take up to 4.3 GB each in .cache/bench.
//
//     LLAMA_BENCH=…/llama-bench IK_BENCH=…/llama-bench npm run bench -- real --only '0.6B|1B'

import { fileURLToPath } from 'node:url';
import { createDevice } from '../src/index.js';
import type { Model } from '../src/models/model.js';
import { loadModel } from '../src/pretrained/index.js';
import type { Bench, Run } from './harness/bench.js';
import { type Contestant, contest } from './harness/contest.js';
import { type GenerationTask, generationSeconds, tokensPerSecond } from './harness/generation.js';
import { llamaSeconds } from './harness/llama-bench.js';
import { describeDevice } from './harness/machine.js';
import { OURS } from './harness/ours.js';
import { bytesPerToken, randomGguf } from './real/random-gguf.js';
import { type ModelShape, modelShapes } from './real/shapes.js';

const FOLDER = fileURLToPath(new URL('../.cache/bench', import.meta.url));

const tasks: readonly GenerationTask[] = [
  { what: 'reads 128 tokens', prompt: 128, tokens: 1, batch: 1 },
  { what: 'reads 512 tokens', prompt: 512, tokens: 1, batch: 1 },
  { what: 'writes 32 tokens', prompt: 1, tokens: 32, batch: 1 },
];

interface Program {
  readonly name: string;
  readonly path: string | undefined;
  readonly variable: string;
  readonly options: readonly string[];
}

export default {
  question: 'How fast are language models of real sizes, beside llama.cpp?',
  async run(run) {
    const programs: readonly Program[] = [
      { name: 'llama.cpp', path: process.env.LLAMA_BENCH, variable: 'LLAMA_BENCH', options: [] },
      { name: 'ik_llama.cpp', path: process.env.IK_BENCH, variable: 'IK_BENCH', options: ['-rtr', '1'] },
    ];
    for (const { name, path, variable } of programs)
      if (!path) run.note(`${name} is NOT measured: ${variable} names no program`);
    for (const [name, shapeOf] of Object.entries(modelShapes)) {
      const wanted = tasks.filter(({ what }) => run.wants(`${name} ${what}`));
      if (wanted.length === 0) continue;
      const shape = shapeOf();
      const file = await randomGguf(FOLDER, name, shape);
      const device = await createDevice({ threads: run.threads });
      run.version(OURS, describeDevice(device));
      const model = (await loadModel(device, file)) as unknown as Model;
      for (const task of wanted) await measure(run, programs, { name, shape, file, model }, task);
      model.dispose();
      device.dispose();
    }
  },
} satisfies Bench;

/** Each turn begins with a run that does not count, as that of llama-bench does. */
async function warmed(model: Model, task: GenerationTask, repeats: number): Promise<{ seconds: number }> {
  await generationSeconds(model, task, 1);
  return { seconds: await generationSeconds(model, task, repeats) };
}

interface Case {
  readonly name: string;
  readonly shape: ModelShape;
  readonly file: string;
  readonly model: Model;
}

async function measure(run: Run, programs: readonly Program[], given: Case, task: GenerationTask): Promise<void> {
  const { name, shape, file, model } = given;
  const contestants: Contestant[] = [{ name: OURS, take: (repeats) => warmed(model, task, repeats) }];
  for (const { name: peer, path, options } of programs)
    if (path)
      contestants.push({ name: peer, take: () => ({ seconds: llamaSeconds(path, file, task, run.threads, options) }) });
  const bytes = bytesPerToken(shape);
  if (task.tokens > 1)
    contestants.push(run.limits.contestant({ steps: [[task.tokens, { reads: 1, writes: 0, bytes }]] }, run.threads));
  const outcome = await contest(contestants, { rounds: run.rounds(5), turn: 0.3, seconds: 60 });
  run.row(`${name} ${task.what}`, outcome, { ...tokensPerSecond(outcome, task), 'bytes per token, MB': bytes / 1e6 });
}
