// Language models at the sizes that people run on CPUs, in Q4_K_M with random weights, beside llama.cpp and
// ik_llama.cpp. Their llama-bench runs as one process per turn, ik_llama.cpp's with repacked weights (`-rtr 1`), as its
// documentation advises. The files take up to 2.5 GB each in .cache/bench.
//
//     LLAMA_BENCH=…/llama-bench IK_BENCH=…/llama-bench npm run bench -- real --only '0.6B|1B'

import { statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createDevice, type Device } from '../src/index.js';
import type { Model } from '../src/models/model.js';
import { loadModel } from '../src/pretrained/index.js';
import type { Bench, Run } from './harness/bench.js';
import { type Contestant, contest } from './harness/contest.js';
import { LIMIT } from './harness/limits.js';
import { llamaSeconds } from './harness/llama-bench.js';
import { describeDevice } from './harness/machine.js';
import { OURS } from './harness/ours.js';
import { modelShapes, randomGguf } from './real/random-gguf.js';

const FOLDER = fileURLToPath(new URL('../.cache/bench', import.meta.url));

interface Task {
  readonly what: string;
  readonly prompt: number;
  readonly tokens: number;
}

const tasks: readonly Task[] = [
  { what: 'reads 128 tokens', prompt: 128, tokens: 1 },
  { what: 'reads 512 tokens', prompt: 512, tokens: 1 },
  { what: 'writes 32 tokens', prompt: 1, tokens: 32 },
];

interface Program {
  readonly name: string;
  readonly path: string | undefined;
  readonly variable: string;
  readonly options: readonly string[];
}

export default {
  question: 'How fast are language models of real sizes in Q4_K_M, beside llama.cpp?',
  async run(run) {
    const programs: readonly Program[] = [
      { name: 'llama.cpp', path: process.env.LLAMA_BENCH, variable: 'LLAMA_BENCH', options: [] },
      { name: 'ik_llama.cpp', path: process.env.IK_BENCH, variable: 'IK_BENCH', options: ['-rtr', '1'] },
    ];
    for (const { name, path, variable } of programs)
      if (!path) run.note(`${name} is NOT measured: ${variable} names no program`);
    for (const name of Object.keys(modelShapes)) {
      const wanted = tasks.filter(({ what }) => run.wants(`${name} ${what}`));
      if (wanted.length === 0) continue;
      const file = await randomGguf(FOLDER, name);
      const device = await createDevice({ threads: run.threads });
      run.version(OURS, describeDevice(device));
      const model = (await loadModel(device, file)) as unknown as Model;
      for (const task of wanted) await measure(run, programs, name, file, model, task);
      model.dispose();
      device.dispose();
    }
  },
} satisfies Bench;

async function measure(
  run: Run,
  programs: readonly Program[],
  name: string,
  file: string,
  model: Model,
  task: Task,
): Promise<void> {
  const contestants: Contestant[] = [
    { name: OURS, take: async (repeats) => ({ seconds: await generate(model, model.device, task, repeats) }) },
  ];
  for (const { name: peer, path, options } of programs)
    if (path)
      contestants.push({ name: peer, take: () => ({ seconds: llamaSeconds(path, file, task, run.threads, options) }) });
  const { size: bytes } = statSync(file);
  if (task.tokens > 1)
    contestants.push(run.limits.contestant({ steps: [[task.tokens, { reads: 1, writes: 0, bytes }]] }, run.threads));
  const outcome = await contest(contestants, { rounds: run.rounds(5), turn: 0.3, seconds: 60 });
  const count = task.tokens > 1 ? task.tokens : task.prompt;
  const perSecond = Object.entries(outcome.times)
    .filter(([contestant]) => !contestant.startsWith(LIMIT))
    .map(([contestant, { median }]) => [`${contestant}, tok/s`, count / median]);
  run.row(`${name} ${task.what}`, outcome, { ...Object.fromEntries(perSecond), 'file, MB': bytes / 1e6 });
}

/** Returns the seconds of one repeat. */
async function generate(model: Model, device: Device, task: Task, repeats: number): Promise<number> {
  const prompt = Array.from({ length: task.prompt }, (_, i) => 300 + ((i * 7919) % 30000));
  const options = { maxNewTokens: task.tokens, minNewTokens: task.tokens, doSample: false };
  await device.flush();
  const begin = performance.now();
  for (let i = 0; i < repeats; i++) await model.generate([prompt], options);
  return (performance.now() - begin) / 1e3 / repeats;
}
