// Jobs that are killed, and go on.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { appendFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type JobInput, type LineJob, runLineJob } from '../../src/cli/line-jobs.js';
import { npyRows, textLines } from '../../src/cli/result-formats.js';
import { Random } from '../random.js';
import { temporaryFolder } from './run-cli.js';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => folder.remove());

async function* inputsOf(lines: readonly string[]): AsyncGenerator<JobInput> {
  for (const [i, line] of lines.entries()) yield { name: `line ${i + 1}`, bytes: Buffer.from(line) };
}

const worked: string[] = [];
const job = (lines: readonly string[], out: string, changes: Partial<LineJob<string>> = {}): LineJob<string> => ({
  inputs: inputsOf(lines),
  async compute(inputs) {
    const texts = inputs.map(({ bytes }) => Buffer.from(bytes).toString());
    worked.push(...texts);
    return texts;
  },
  format: textLines((text) => text.toUpperCase()),
  out: folder.at(out),
  overwrite: false,
  settings: { model: 'm' },
  batchSize: 2,
  signal: new AbortController().signal,
  ...changes,
});
const read = (name: string) => readFile(folder.at(name), 'utf8');

describe('a job that is killed', () => {
  it.each([
    [Number(process.env.SIMDFORMER_KILLS ?? 30), 'out.npy'],
    [10, 'out.txt'],
  ])('%i times writes everything once to %s', { timeout: 3_600_000 }, async (kills, name) => {
    const program = folder.at('slow-job.mjs');
    await build({
      entryPoints: ['test/cli/slow-job.ts'],
      outfile: program,
      bundle: true,
      format: 'esm',
      platform: 'node',
      logLevel: 'error',
    });
    const lines = Array.from({ length: Math.max(20_000, 100 * kills) }, (_, i) => `${i}`);
    await writeFile(folder.at('in.txt'), lines.join('\n'));
    const random = new Random(name);
    // With `kill`, kills the process a moment after it began that number of batches, wherever it is by then.
    const run = (together: number, kill?: { batches: number; milliseconds: number }) =>
      new Promise<number | null>((resolve, reject) => {
        const child = spawn(process.execPath, [program, folder.at(name), `${together}`, folder.at('in.txt')], {
          stdio: ['ignore', 'pipe', 'ignore'],
        });
        let begun = 0;
        child.stdout.on('data', (bytes: Buffer) => {
          const before = begun;
          begun += bytes.toString().split('\n').length - 1;
          if (kill && before < kill.batches && begun >= kill.batches)
            setTimeout(() => child.kill('SIGKILL'), kill.milliseconds);
        });
        child.on('error', reject).on('close', resolve);
      });
    let before = 0;
    for (let kill = 0; kill < kills; kill++) {
      const batches = 1 + random.below(6);
      expect(await run(3, { batches, milliseconds: 15 * random.next() })).toBe(null);
      const { inputs } = JSON.parse(await read(`${name}.index.json`));
      expect(inputs).toBeGreaterThanOrEqual(before + 3 * (batches - 1)); // a batch begins after the last one was written
      before = inputs;
    }
    expect(before).toBeGreaterThan(0);
    expect(await run(5000)).toBe(0);
    if (name.endsWith('.txt')) expect(await read(name)).toBe(lines.map((line) => `${line}!\n`).join(''));
    else {
      const bytes = await readFile(folder.at(name));
      expect(bytes.subarray(10, 128).toString()).toContain(`'shape': (${lines.length}, 2)`);
      const numbers = new Float32Array(bytes.buffer.slice(bytes.byteOffset + 128));
      expect(numbers).toEqual(Float32Array.from(lines.flatMap((line) => [Number(line), line.length])));
    }
    const left = await readdir(folder.at('.'));
    expect(left.filter((file) => file.endsWith('.tmp'))).toEqual([]);
    await rm(folder.at(name));
  });
});

describe('a job', () => {
  it('continues after inputs were appended, and computes only those', async () => {
    worked.length = 0;
    expect(await runLineJob(job(['a', 'b', 'c'], 'added.txt'))).toEqual({ done: 3, stopped: false });
    expect(await runLineJob(job(['a', 'b', 'c', '', 'e'], 'added.txt'))).toEqual({ done: 5, stopped: false });
    expect(worked).toEqual(['a', 'b', 'c', '', 'e']);
    expect(await read('added.txt')).toBe('A\nB\nC\n\nE\n');
  });

  it('resumes only with the same inputs and settings', async () => {
    await runLineJob(job(['a', 'b', 'c'], 'same.txt'));
    await expect(runLineJob(job(['a', 'x', 'c'], 'same.txt'))).rejects.toThrow('made from other inputs');
    await expect(runLineJob(job(['a', 'b'], 'same.txt'))).rejects.toThrow('made from other inputs');
    const settings = { model: 'n' };
    await expect(runLineJob(job(['a'], 'same.txt', { settings }))).rejects.toThrow('made with model "m"');
    expect(await read('same.txt')).toBe('A\nB\nC\n');
    await runLineJob(job(['z'], 'same.txt', { settings, overwrite: true }));
    expect(await read('same.txt')).toBe('Z\n');
  });

  it('does not replace files of other programs or damaged ones', async () => {
    await writeFile(folder.at('other.txt'), 'mine');
    await expect(runLineJob(job(['a'], 'other.txt'))).rejects.toThrow('has no index to continue from');
    expect(await read('other.txt')).toBe('mine');
    await mkdir(folder.at('inside'));
    for (const overwrite of [false, true])
      await expect(runLineJob(job(['a'], 'inside', { overwrite }))).rejects.toThrow('is a folder, expected a file');
    expect(existsSync(folder.at('inside.index.json'))).toBe(false);
    for (const overwrite of [false, true]) {
      const full = runLineJob(job(['a'], '', { overwrite, out: '/dev/full' }));
      await expect(full).rejects.toThrow('/dev/full is a device or a pipe, expected a file: leave --out out');
    }
    await runLineJob(job(['a', 'b'], 'cut.txt'));
    await writeFile(folder.at('cut.txt'), 'A');
    await expect(runLineJob(job(['a', 'b'], 'cut.txt'))).rejects.toThrow('shorter than its index');
    await writeFile(folder.at('cut.txt.index.json'), '{');
    await expect(runLineJob(job(['a', 'b'], 'cut.txt'))).rejects.toThrow('damaged');
  });

  it('drops the output of an interrupted batch, which is not in the index', async () => {
    await runLineJob(job(['a', 'b'], 'tail.txt'));
    await appendFile(folder.at('tail.txt'), 'half a resu');
    await runLineJob(job(['a', 'b', 'c'], 'tail.txt'));
    expect(await read('tail.txt')).toBe('A\nB\nC\n');
  });

  it('stops by its signal, also while it waits for inputs', async () => {
    const aborter = new AbortController();
    async function* waiting(): AsyncGenerator<JobInput> {
      yield* inputsOf(['a', 'b']);
      queueMicrotask(() => aborter.abort());
      await new Promise(() => {});
    }
    const given = { inputs: waiting(), signal: aborter.signal };
    expect(await runLineJob(job([], 'stopped.txt', given))).toEqual({ done: 2, stopped: true });
    await runLineJob(job(['a', 'b', 'c'], 'stopped.txt'));
    expect(await read('stopped.txt')).toBe('A\nB\nC\n');
  });

  it('keeps results from before an error', async () => {
    const format = npyRows<string>((text) => new Float32Array(text.length));
    await expect(runLineJob(job(['a', 'b', 'cc', 'd'], 'odd.npy', { format }))).rejects.toThrow('2 numbers');
    expect((await readFile(folder.at('odd.npy'))).length).toBe(128 + 8);
  });
});
