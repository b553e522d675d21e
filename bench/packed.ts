// Packed weights: a GGUF file with int8 activations, with float activations, and with float weights. Beside them
// llama.cpp's llama-bench, one process per turn. Also packed keys and values: steps after a long text, with caches of
// each type.
//
//     LLAMA_BENCH=…/llama-bench GGUF_MODEL=…/SmolLM2-135M-Instruct.Q4_1.gguf npm run bench -- packed

import { spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { forNode } from '../scripts/bundle.mjs';
import { createDevice } from '../src/index.js';
import type { Model as AnyModel } from '../src/models/model.js';
import type { DecoderState } from '../src/nn/index.js';
import { CACHE_TYPES, type CacheType } from '../src/ops/kv-cache.js';
import { type LoadModelOptions, loadModel } from '../src/pretrained/index.js';
import type { Bench, Run } from './harness/bench.js';
import { type Contestant, contest } from './harness/contest.js';
import { BenchError } from './harness/error.js';
import { type GenerationTask, generationSeconds, tokensPerSecond } from './harness/generation.js';
import { llamaSeconds } from './harness/llama-bench.js';
import { describeDevice } from './harness/machine.js';
import { OURS } from './harness/ours.js';
import { summarize } from './harness/statistics.js';

const TOKENS = 64;
const PROMPT = 128;

type Model = AnyModel;

const tasks: readonly GenerationTask[] = [
  { what: 'decode', prompt: 1, tokens: TOKENS, batch: 1 },
  { what: 'prefill', prompt: PROMPT, tokens: 1, batch: 1 },
  { what: 'decode of 8', prompt: 1, tokens: TOKENS, batch: 8 },
  { what: 'decode of 16', prompt: 1, tokens: TOKENS, batch: 16 },
];

/** Numbers of tokens that each sequence has when the measured ones are generated. */
const contexts = [
  { what: 'context 512', context: 512, batch: 1 },
  { what: 'context 2048', context: 2048, batch: 1 },
  { what: 'context 512 of 16', context: 512, batch: 16 },
];
const STEPS = 8;

const ways: readonly (readonly [name: string, options: LoadModelOptions])[] = [
  [OURS, {}],
  ['float32 activations', { activations: 'float32' }],
  ['float32 weights', { weights: 'float32' }],
  ['float16 weights', { weights: 'float16' }], // only for decoding a single sequence
];

/** Tokens in the cache of the process whose memory is measured. */
const CONTEXT = 2048;
const PROBES = 5;

export default {
  question: 'How fast are packed weights, beside llama.cpp and floats?',
  async run(run) {
    const { GGUF_MODEL: file, LLAMA_BENCH: llama } = process.env;
    if (!file) {
      run.note('Packed weights are NOT measured: GGUF_MODEL names no file');
      return;
    }
    if (!llama) run.note('llama.cpp is NOT measured: LLAMA_BENCH names no program');
    const device = await createDevice({ threads: run.threads });
    run.version(OURS, describeDevice(device));
    const models = new Map<string, Model>();
    for (const [name, options] of ways) models.set(name, (await loadModel(device, file, options)) as unknown as Model);
    for (const task of tasks) {
      if (!run.wants(task.what)) continue;
      const some = [...models].filter(([name]) => task.what === 'decode' || name !== 'float16 weights');
      const contestants: Contestant[] = some.map(([name, model]) => ({
        name,
        take: async (repeats) => ({ seconds: await generationSeconds(model, task, repeats) }),
      }));
      if (llama && task.batch === 1)
        contestants.push({
          name: 'llama.cpp',
          take: () => ({ seconds: llamaSeconds(llama, file, task, run.threads) }),
        });
      if (task.what === 'decode') {
        const bytes = statSync(file).size;
        contestants.push(run.limits.contestant({ steps: [[TOKENS, { reads: 1, writes: 0, bytes }]] }, run.threads));
      }
      const outcome = await contest(contestants, { rounds: run.rounds(9), turn: 0.3, seconds: 40 });
      run.row(task.what, outcome, tokensPerSecond(outcome, task));
    }
    const model = models.get(OURS) as Model;
    for (const sizes of contexts.filter(({ what }) => run.wants(what))) await measureCaches(run, model, sizes);
    for (const each of models.values()) each.dispose();
    device.dispose();
    if (run.wants('memory')) await memory(run, file);
  },
} satisfies Bench;

/** Measures steps of one model with each type of cache. */
async function measureCaches(run: Run, model: Model, { what, context, batch }: (typeof contexts)[number]) {
  const { device } = model;
  const states = new Map<CacheType, DecoderState>();
  const contestants = [...CACHE_TYPES].reverse().map((cacheType): Contestant => {
    const state = model.startDecoding({ sequences: batch, maxLength: context, cacheType });
    states.set(cacheType, state);
    model.extend(state, [Array.from({ length: context - STEPS }, (_, i) => 100 + ((i * 37) % 900))], {
      logits: 'none',
    });
    for (let row = 1; row < batch; row++) state.copySequence(row, 0, context - STEPS);
    state.tokens.write(Int32Array.from({ length: batch }, (_, row) => 100 + row));
    const program = device.record(() => model.step(state));
    const take = async (repeats: number) => {
      await device.flush();
      const begin = performance.now();
      for (let i = 0; i < repeats; i++) {
        state.setLengths(new Int32Array(batch).fill(context - STEPS));
        for (let step = 0; step < STEPS; step++) program.run();
        await device.flush();
      }
      return { seconds: (performance.now() - begin) / 1e3 / repeats };
    };
    return { name: cacheType, take };
  });
  const outcome = await contest(contestants, { rounds: run.rounds(9), turn: 0.3, seconds: 15 });
  const numbers = Object.entries(outcome.times).flatMap(([cache, { median }]) => {
    const { caches } = states.get(cache as CacheType) as DecoderState;
    const words = caches.reduce((sum, { size }) => sum + size, 0);
    return [
      [`${cache}, tok/s`, (batch * STEPS) / median],
      [`${cache}, MB`, (4 * words) / 1e6],
    ];
  });
  run.row(what, outcome, Object.fromEntries(numbers));
  for (const state of states.values()) state.dispose();
}

/**
 * Growth of a process that loads the file and writes, relative to the size of file and cache: several processes, with
 * the package as published.
 */
async function memory(run: Run, file: string): Promise<void> {
  const outdir = 'build/bench'; // same depth as src/cli, because paths into the package are relative
  await build({ ...forNode, entryPoints: { 'memory-probe': 'bench/harness/memory-probe.ts' }, outdir });
  const probe = fileURLToPath(new URL(`../${outdir}/memory-probe.js`, import.meta.url));
  const probes = Array.from({ length: PROBES }, () => {
    const args = [probe, file, `${run.threads}`, `${CONTEXT}`];
    const { stdout, stderr, status } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    if (status !== 0) throw new BenchError(`the memory probe failed: ${stderr.slice(-500)}`);
    const { grown, cache, seconds } = JSON.parse(stdout) as { grown: number; cache: number; seconds: number };
    return { share: grown / (statSync(file).size + cache), seconds };
  });
  const shares = probes.map(({ share }) => share);
  run.summary[`memory with a context of ${CONTEXT}, of file and cache`] = summarize(shares).median;
  run.summary['the most of these'] = Math.max(...shares);
  run.summary['the model is there after, s'] = summarize(probes.map(({ seconds }) => seconds)).median;
}
