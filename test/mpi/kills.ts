// Kills random ranks of a job at random moments, again and again: `npx tsx test/mpi/kills.ts [kills] [compiler]
// [seed]`. After each kill the checkpoint must load, and the next job continues from it. Losses and weights of a job
// that ends must equal those of a job without kills.

import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { openSafetensors } from '../../src/io/index.js';
import { buildMpi } from '../../src/mpi/index.js';
import { Random } from '../../src/nn/index.js';
import bundle from '../bundle.mjs';
import type { Job, Outcome } from './rank.js';

const [kills = '100', compiler = 'mpicxx.openmpi', seed = '0'] = process.argv.slice(2);
const folder = mkdtempSync(join(tmpdir(), 'simdformer-kills-'));
process.env.SIMDFORMER_MPI = folder;
await bundle();
const { name } = await buildMpi(compiler);
const random = new Random(Number(seed));
const draw = (below: number) => Math.floor(random.uniform() * below);
const launcher = [`mpirun.${name}`, ...(name === 'openmpi' ? ['--oversubscribe', '--mca', 'btl', 'self,vader'] : [])];
const RANK = fileURLToPath(new URL('../../build/tests/mpi-rank.js', import.meta.url));
const BATCHES = 6;
const STEPS = 60;

/** Runs a job of some ranks; with `patience`, kills one of them so many milliseconds after all have begun. */
async function run(ranks: number, options: Job['options'], patience?: number): Promise<Outcome | null> {
  const job: Job = { options: { ...options, batchTokens: 64, steps: STEPS, gradientAccumulation: BATCHES / ranks } };
  const [program, ...args] = [...launcher, '-n', `${ranks}`, process.execPath, RANK];
  const env = { ...process.env, OMPI_ALLOW_RUN_AS_ROOT: '1', OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: '1' };
  const child = spawn(program as string, [...args, JSON.stringify(job)], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  let isAimed = false;
  child.stderr.setEncoding('utf8').on('data', async (text: string) => {
    stderr += text;
    const processes = [...stderr.matchAll(/is process (\d+)/g)].map(([, id]) => Number(id));
    if (patience === undefined || isAimed || processes.length < ranks) return;
    isAimed = true;
    await sleep(patience);
    try {
      process.kill(processes[draw(ranks)] as number, 'SIGKILL');
    } catch {} // the process has just ended
  });
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve));
  if (code === 0) return JSON.parse(stdout.trim().split('\n').at(-1) as string) as Outcome;
  if (patience === undefined || !isAimed) throw new Error(`a job that nobody killed has failed:\n${stderr}`);
  return null;
}

const whole = (await run(2, {})) as Outcome;
const checkpoint = join(folder, 'run.safetensors');
let [killed, ends] = [0, 0];
while (killed < Number(kills) || existsSync(checkpoint)) {
  const ranks = [2, 3][draw(2)] as number;
  const zeroStage = [0, 1][draw(2)] as 0 | 1;
  const patience = killed < Number(kills) ? draw(5000) : undefined;
  const outcome = await run(ranks, { checkpoint, checkpointEvery: 3, resume: true, zeroStage }, patience);
  if (outcome === null) {
    killed++;
    if (existsSync(checkpoint)) (await openSafetensors(checkpoint)).close();
    if (killed % 10 === 0) console.log(`${killed} kills, ${ends} jobs came to their end`);
    continue;
  }
  ends++;
  const expected = { hash: whole.hash, losses: whole.losses.slice(whole.losses.length - outcome.losses.length) };
  if (outcome.hash !== expected.hash || outcome.losses.join() !== expected.losses.join())
    throw new Error(`after ${killed} kills the losses or weights differ: ${JSON.stringify({ outcome, expected })}`);
  rmSync(checkpoint);
}
console.log(
  `${killed} kills; ${ends} jobs came to their end, each with the losses and weights of one that nobody killed`,
);
rmSync(folder, { recursive: true });
