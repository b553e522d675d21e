// Training by several processes, started by mpirun as a user does.

import { execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isHidden } from '../../scripts/equipment.mjs';
import { openSafetensors } from '../../src/io/index.js';
import { buildMpi, type Mpi, mpi } from '../../src/mpi/index.js';
import { argumentsOf } from '../cli/run-cli.js';
import { untested } from '../equipment.js';
import type { Job, Outcome } from './rank.js';

const RANK = fileURLToPath(new URL('../../build/tests/mpi-rank.js', import.meta.url));

/** Installed compiler wrappers, and the launchers beside them. */
const mpis = [
  {
    name: 'openmpi',
    compiler: 'mpicxx.openmpi',
    launcher: ['mpirun.openmpi', '--oversubscribe', '--mca', 'btl', 'self,vader'],
  },
  { name: 'mpich', compiler: 'mpicxx.mpich', launcher: ['mpirun.mpich'] },
].filter(({ compiler, launcher }) => !isHidden && [compiler, launcher[0] as string].every(isThere));
const folder = mkdtempSync(join(tmpdir(), 'simdformer-mpi-'));
const environment = {
  ...process.env,
  SIMDFORMER_MPI: folder,
  OMPI_ALLOW_RUN_AS_ROOT: '1',
  OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: '1',
};

function isThere(program: string): boolean {
  try {
    execFileSync('which', [program], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(command: readonly string[], env: NodeJS.ProcessEnv = environment): Promise<Ended> {
  const [program, ...args] = command as [string, ...string[]];
  const child = spawn(program, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (text: string) => {
      output[name] += text;
    });
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, ...output })));
}

if (mpis.length === 0) untested('training on MPI', 'there is no mpicxx: apt-get install libopenmpi-dev openmpi-bin');

it('is a world of one process outside a job, and loads nothing', async () => {
  const world: Mpi = await mpi();
  expect([world.rank, world.size, await world.exchangeText('a')]).toEqual([0, 1, ['a']]);
  await expect(mpi({ timeuot: 3 } as object)).rejects.toThrow(/mpi: .*timeuot/);
});

describe.each(mpis)('ranks of $name', ({ name, compiler, launcher }) => {
  const ranks = (count: number, job: Job) =>
    run([...launcher, '-n', `${count}`, process.execPath, RANK, JSON.stringify(job)]);
  const outcome = async (count: number, job: Job): Promise<Outcome> => {
    const { code, stdout, stderr } = await ranks(count, job);
    expect(code, stderr).toBe(0);
    return JSON.parse(stdout.trim().split('\n').at(-1) as string) as Outcome;
  };
  const options = { steps: 5, batchTokens: 64 };

  beforeAll(async () => {
    process.env.SIMDFORMER_MPI = folder;
    expect((await buildMpi(compiler)).name).toBe(name);
  });

  it('give the bits of one process that accumulates the same batches', async () => {
    const { size: _, memory: __, ...one } = await outcome(1, { options: { ...options, gradientAccumulation: 4 } });
    for (const size of [2, 4]) {
      const given = { options: { ...options, gradientAccumulation: 4 / size } };
      expect(await outcome(size, given)).toMatchObject({ ...one, size });
    }
  });

  it('give the same bits with less memory if the optimizer’s state is sharded', async () => {
    for (const optimizer of ['adamw', 'adafactor', 'lion', 'sgd'] as const) {
      const whole = await outcome(2, { options, optimizer });
      const { memory, ...sharded } = await outcome(2, { options: { ...options, zeroStage: 1 }, optimizer });
      expect(whole).toMatchObject(sharded);
      const states = { adamw: 2, adafactor: 1, lion: 1, sgd: 1 }[optimizer];
      expect(whole.memory - memory).toBeGreaterThan(0.45 * states * whole.weights);
    }
  });

  it('resume, sharded or not, from the complete checkpoint of another number of ranks', async () => {
    const whole = await outcome(1, { options: { ...options, steps: 6, gradientAccumulation: 4 } });
    const checkpoint = join(folder, `${name}-sharded.safetensors`);
    const steps = { ...options, checkpoint, resume: true };
    await outcome(4, { options: { ...steps, steps: 2, zeroStage: 1 } });
    await outcome(2, { options: { ...steps, steps: 4, gradientAccumulation: 2, zeroStage: 1 } });
    const { losses, hash } = await outcome(1, { options: { ...steps, steps: 6, gradientAccumulation: 4 } });
    expect([losses, hash]).toEqual([whole.losses.slice(4), whole.hash]);
    await outcome(2, { options: { ...steps, steps: 8, gradientAccumulation: 2, zeroStage: 1 } }); // from a checkpoint that is not sharded
  });

  it('give the same bits if gradients are sent in many buckets', async () => {
    const sizes = { dModel: 256, dFF: 1024, decoderLayers: 4 };
    const { hash } = await outcome(1, { options: { ...options, gradientAccumulation: 2 }, sizes });
    for (const zeroStage of [0, 1] as const)
      expect((await outcome(2, { options: { ...options, zeroStage }, sizes })).hash).toBe(hash);
  });

  it('resume with another number of ranks, with the same bits', async () => {
    const whole = await outcome(1, { options: { ...options, gradientAccumulation: 2 } });
    const checkpoint = join(folder, `${name}.safetensors`);
    await outcome(2, { options: { ...options, steps: 3, checkpoint } });
    const again = { ...options, checkpoint, resume: true, gradientAccumulation: 2 };
    const { losses, hash } = await outcome(1, { options: again });
    expect([losses, hash]).toEqual([whole.losses.slice(3), whole.hash]);
  });

  it('give nearly the same results if gradients are sent in 16 bits', async () => {
    const exact = await outcome(2, { options });
    for (const wire of ['float16', 'bfloat16'] as const) {
      const { losses, hash } = await outcome(2, { options: { ...options, wire } });
      expect(hash).not.toBe(exact.hash);
      for (const [i, loss] of losses.entries()) expect(Math.abs(loss - (exact.losses[i] as number))).toBeLessThan(0.02);
    }
  });

  it('end and name a rank with other options', async () => {
    for (const [odd, reason] of [
      [{ rank: 1, options: { seed: 4 } }, 'rank 1 differs from the others: its seed is 4, theirs 3'],
      [
        { rank: 0, options: { clipNorm: null } },
        'rank 0 differs from the others: its clipNorm is null, theirs undefined',
      ],
      [
        { rank: 1, adamw: { beta2: 0.98, eps: 1e-9, weightDecay: 0.1 } },
        'rank 1 differs from the others: its optimizer is {"name":"AdamW","lr":0.001,"beta1":0.9,"beta2":0.98,"eps":1e-9,"weightDecay":0.1,',
      ],
      [{ rank: 2, examples: 60 }, 'rank 2 differs from the others: its data is'],
    ] as const) {
      const { code, stderr } = await ranks(3, { options, odd });
      expect(code).not.toBe(0);
      expect(stderr).toContain(reason);
    }
  });

  it('end with the reason if one of them fails', async () => {
    const { code, stderr } = await ranks(2, { options, odd: { rank: 1, step: 2, does: 'throws' } });
    expect(code).not.toBe(0);
    expect(stderr).toContain('rank 0: WorldError: mpi: rank 1 has failed: of the user');
  });

  it('end if one of them ends', async () => {
    const { code, stderr } = await ranks(2, { options, odd: { rank: 1, step: 2, does: 'exits' } });
    expect(code).not.toBe(0);
    expect(stderr).toMatch(/rank 1/);
  });

  it('end and name a rank that hangs', async () => {
    const { code, stderr } = await ranks(2, { options, timeout: 2, odd: { rank: 1, step: 2, does: 'stops' } });
    expect(code).not.toBe(0);
    expect(stderr).toContain('rank 0: WorldError: mpi: rank 1 has not been heard of for 2 s');
  });

  it('leave a checkpoint that the next job resumes from, if any rank is killed at any time', async () => {
    const checkpoint = join(folder, `${name}-killed.safetensors`);
    const job = { ...options, checkpoint, checkpointEvery: 1, resume: true };
    const whole = await outcome(2, { options });
    for (const odd of [
      { rank: 0, step: 2 },
      { rank: 1, step: 4 },
    ]) {
      const { code, stdout } = await ranks(2, { options: job, odd: { ...odd, does: 'dies' } });
      if (name === 'openmpi') expect(code).not.toBe(0); // MPICH's launcher sometimes ends with 0 after it killed a job
      expect(stdout).not.toContain('losses');
      (await openSafetensors(checkpoint)).close();
    }
    const { hash, losses } = await outcome(2, { options: job });
    expect(hash).toBe(whole.hash);
    expect(losses).toEqual(whole.losses.slice(whole.losses.length - losses.length));
  });

  it('are used by the command line', async () => {
    const out = join(folder, `${name}-model`);
    const train = [
      'train',
      'characters',
      '--data',
      'README.md',
      '--steps',
      '2',
      '--batch',
      '2',
      '--out',
      out,
      '--json',
      '--zero-stage',
      '1',
    ];
    const { code, stdout, stderr } = await run([...launcher, '-n', '2', process.execPath, ...argumentsOf(train)]);
    expect(code, stderr).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ reason: 'done', step: 2, model: out });
  });

  it('report the command that builds a missing addon', async () => {
    const env = { ...environment, SIMDFORMER_MPI: join(folder, 'nothing') };
    const command = [...launcher, '-n', '2', process.execPath, RANK, JSON.stringify({ options })];
    const { code, stderr } = await run(command, env);
    expect(code).not.toBe(0);
    expect(stderr).toContain('npx simdformer mpi build');
  });
});
