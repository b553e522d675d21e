// SmolLM2-135M with float weights: reading a prompt, and generation, which is limited by memory.

import type { Device } from '../../src/index.js';
import { type LoadedModel, loadModel } from '../../src/pretrained/index.js';
import type { Run } from '../harness/bench.js';
import { type Contestant, contest } from '../harness/contest.js';
import type { Work } from '../harness/limits.js';
import { OURS } from '../harness/ours.js';
import { modelFolder } from './model-folder.js';

const FILE = 'smollm2-135m/SmolLM2-135M-Instruct.Q4_1.gguf';
const TOKENS = 64;
const PROMPT = 512;

export async function measureSmolLM(run: Run, device: Device): Promise<void> {
  const file = modelFolder(run, FILE);
  if (file === null) return;
  const model = await loadModel(device, file, { weights: 'float32' });
  const weights = model.parameters().reduce((sum, { size }) => sum + size, 0);
  const tasks: { what: string; prompt: number; tokens: number; work: Work }[] = [
    {
      what: `SmolLM2 135M, reading ${PROMPT} tokens`,
      prompt: PROMPT,
      tokens: 1,
      work: { flops: 2 * weights * PROMPT, bytes: 4 * weights },
    },
    {
      what: `SmolLM2 135M, writing ${TOKENS} tokens`,
      prompt: 1,
      tokens: TOKENS,
      work: { steps: [[TOKENS, { reads: 1, writes: 0, bytes: 4 * weights }]] },
    },
  ];
  for (const { what, prompt, tokens, work } of tasks) {
    if (!run.wants(what)) continue;
    const contestants = [writing(model, prompt, tokens), run.limits.contestant(work, run.threads)];
    const outcome = await contest(contestants, { rounds: run.rounds(9), turn: 0.3, seconds: 8 });
    const count = Math.max(tokens, prompt);
    run.row(what, outcome, { 'tokens/s': count / (outcome.times[OURS]?.median as number) });
  }
  model.dispose();
}

function writing(model: LoadedModel, length: number, tokens: number): Contestant {
  const prompt = Array.from({ length }, (_, i) => 100 + ((i * 37) % 900));
  const options = { maxNewTokens: tokens, minNewTokens: tokens, doSample: false };
  return {
    name: OURS,
    take: async (repeats) => {
      const start = performance.now();
      for (let i = 0; i < repeats; i++) await model.generate([prompt], options);
      return { seconds: (performance.now() - start) / 1e3 / repeats };
    },
  };
}
