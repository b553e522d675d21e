// Ends of trainings, folders of several trainings, and resumed trainings.

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, readlink, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { platform } from 'node:os';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { lockFolder } from '../../src/cli/out-folder.js';
import { openSafetensors, saveSafetensors } from '../../src/io/index.js';
import { argumentsOf, type RunOptions, simdformer, temporaryFolder } from './run-cli.js';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
const model = { dModel: 16, heads: 2, dFF: 32, decoderLayers: 1, maxLength: 16, tieEmbeddings: true };
const task = { task: 'characters', model, batch: 4, steps: 4, validateEvery: 1000 };

beforeAll(async () => {
  folder = await temporaryFolder();
  await writeFile(folder.at('text.txt'), 'to be, or not to be: that is the question.\n'.repeat(20));
  await writeFile(folder.at('task.json'), JSON.stringify({ ...task, data: folder.at('text.txt') }));
});
afterAll(() => folder.remove());

const train = (out: string, args: string[] = [], options: RunOptions = {}, config = 'task.json') =>
  simdformer(['train', folder.at(config), '-o', folder.at(out), ...args], options);
const lastStep = async (out: string) =>
  JSON.parse((await readFile(folder.at(`${out}/log.jsonl`), 'utf8')).trimEnd().split('\n').at(-1)!).step;

describe('a training', () => {
  it('stops with a checkpoint when its terminal closes, even if the signal repeats', async () => {
    const options = { interruptAt: /step 1\//, signal: 'SIGHUP', times: 3 } as const;
    const { code, stdout } = await train('closed', ['--steps', '1000000'], options);
    expect(code).toBe(129);
    const [, step] = /^Stopped; --resume goes on\. Step (\d+)/.exec(stdout)!;
    expect(Number(step)).toBe(await lastStep('closed'));
    const resumed = await train('closed', ['--resume', '--json', '--steps', `${Number(step) + 2}`]);
    expect(JSON.parse(resumed.stdout)).toMatchObject({ reason: 'done', step: Number(step) + 2 });
  });

  it.runIf(platform() === 'linux')('does the same on a terminal that is gone', async () => {
    const close = [
      'import os, pty, sys',
      'pid, terminal = pty.fork()',
      'if pid == 0: os.execvp(sys.argv[1], sys.argv[1:])',
      "while b'%' not in os.read(terminal, 65536): pass",
      'os.close(terminal)',
      'print(os.WTERMSIG(os.waitpid(pid, 0)[1]))',
    ].join('\n');
    const args = ['train', folder.at('task.json'), '-o', folder.at('gone'), '--steps', '1000000'];
    const command = ['-c', close, process.execPath, ...argumentsOf(args)];
    const { stdout } = await promisify(execFile)('python3', command, { env: { ...process.env, TERM: 'xterm' } });
    expect(stdout.trim()).toBe('1'); // ended by SIGHUP; shells show 129
    const step = await lastStep('gone');
    expect(step).toBeGreaterThan(0);
    const resumed = await train('gone', ['--resume', '--json', '--steps', `${step + 1}`]);
    expect(JSON.parse(resumed.stdout)).toMatchObject({ reason: 'done', step: step + 1 });
    expect(await lastStep('gone')).toBe(step + 1);
  });

  it.runIf(platform() === 'linux')(
    'goes on without its messages, and tells that a result cannot be written',
    async () => {
      const mute = await train('mute', [], { stderr: '/dev/full' });
      expect(mute).toMatchObject({ code: 0, stdout: expect.stringMatching(/^Done\. Step 4/) });
      const lost = await train('lost', [], { stdout: '/dev/full' });
      expect(lost.code).toBe(1);
      expect(lost.stderr).toMatch(/^simdformer: the output cannot be written: its disk is full \(ENOSPC\)$/m);
      expect(lost.stderr).not.toMatch(/\n\s+at /);
    },
  );

  it('counts as done if it was complete when it was told to stop', async () => {
    const { code, stdout } = await train('complete', [], { interruptAt: /step 4\/4/ });
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/^Done\. Step 4/) });
  });

  it('locks its folder, takes over the lock of a killed process, and removes its leftovers', async () => {
    await mkdir(folder.at('shared'));
    await writeFile(folder.at('shared/lock'), `${process.ppid}`);
    const second = await train('shared');
    expect(second).toMatchObject({ code: 1, stdout: '' });
    expect(second.stderr).toMatch(`in use by another training, process ${process.ppid}: wait for it`);
    expect(await readdir(folder.at('shared'))).toEqual(['lock']);
    const killed = await train('shared-2', ['--steps', '1000000'], { interruptAt: /step 1\//, signal: 'SIGKILL' });
    expect(killed.code).toBe(null);
    expect(existsSync(folder.at('shared-2/lock'))).toBe(true);
    const id = '0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0';
    const tokenizers = ['source-tokenizer.json', 'target-tokenizer.json'];
    const files = ['checkpoint.safetensors', 'model.safetensors', 'task.json', ...tokenizers];
    const left = [...files.map((name) => `${name}.${id}.tmp`), `lock.${2 ** 22 + 1}`]; // more than a process can have
    for (const name of left) await writeFile(folder.at(`shared-2/${name}`), 'x');
    expect((await train('shared-2', ['--overwrite'])).code).toBe(0);
    expect((await readdir(folder.at('shared-2'))).filter((name) => /lock|tmp/.test(name))).toEqual([]);
  });

  it.runIf(platform() !== 'win32')('refuses a lock that is not a file, and does not wait for it', async () => {
    await mkdir(folder.at('odd'));
    await symlink('nowhere', folder.at('odd/lock'));
    const { code, stdout, stderr } = await train('odd');
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toBe(
      `simdformer: ${folder.at('odd/lock')} is not a file, expected the lock of a training: remove it, or give another folder\n`,
    );
  });

  it.runIf(platform() === 'linux')('takes its folder on a disk without hard links', async () => {
    const library = folder.at('no-links.so'); // simulates the errors of Linux on FAT and exFAT
    await writeFile(folder.at('no-links.c'), '#include <errno.h>\nint link() { errno = EPERM; return -1; }\n');
    await promisify(execFile)('cc', ['-shared', '-fPIC', '-o', library, folder.at('no-links.c')]);
    const start = (...args: string[]) => {
      const command = argumentsOf(['train', folder.at('task.json'), '-o', folder.at('fat'), ...args]);
      return promisify(execFile)(process.execPath, command, { env: { ...process.env, LD_PRELOAD: library } });
    };
    expect((await start()).stdout).toMatch(/^Done\. Step 4/);
    await writeFile(folder.at('fat/lock'), `${process.ppid}`);
    await expect(start('--overwrite')).rejects.toThrow(`in use by another training, process ${process.ppid}`);
    await writeFile(folder.at('fat/lock'), `${2 ** 22 + 1}`); // more than a process can have
    expect((await start('--overwrite')).stdout).toMatch(/^Done\. Step 4/);
    expect(existsSync(folder.at('fat/lock'))).toBe(false);
  });

  it.runIf(platform() === 'linux')('says that the disk of its folder can only be read', async () => {
    const library = folder.at('read-only.so');
    await writeFile(folder.at('read-only.c'), '#include <errno.h>\nint mkdir() { errno = EROFS; return -1; }\n');
    await promisify(execFile)('cc', ['-shared', '-fPIC', '-o', library, folder.at('read-only.c')]);
    const command = argumentsOf(['train', folder.at('task.json'), '-o', folder.at('read/only')]);
    const { stderr } = await promisify(execFile)(process.execPath, command, {
      env: { ...process.env, LD_PRELOAD: library },
    }).catch((error) => error);
    expect(stderr).toBe(`simdformer: ${folder.at('read')}: its disk can only be read (EROFS)\n`);
  });

  it('removes its own lock, but not that of another training that has taken the folder', async () => {
    const lock = folder.at('removed/lock');
    const own = await lockFolder(folder.at('removed'));
    await writeFile(lock, `${process.ppid}`);
    own[Symbol.dispose]();
    expect(await readFile(lock, 'utf8')).toBe(`${process.ppid}`);
    await rm(lock);
    (await lockFolder(folder.at('removed')))[Symbol.dispose]();
    expect(existsSync(lock)).toBe(false);
  });

  it('gives the reason for its end if its folder with the lock was removed', async () => {
    const running = train('moved', ['--steps', '1000000']);
    await expect.poll(() => existsSync(folder.at('moved/log.jsonl')), { timeout: 10_000 }).toBe(true);
    await rename(folder.at('moved'), folder.at('elsewhere'));
    await writeFile(folder.at('moved'), 'a file');
    const { code, stderr } = await running;
    expect(code).toBe(1);
    expect(stderr).toMatch(/^simdformer: .*checkpoint\.safetensors: .* \((ENOTDIR|ENOENT)\)$/m);
    expect(stderr).not.toMatch(/\n\s+at /);
    expect((await train('elsewhere', ['--resume', '--steps', '2000000'], { interruptAt: /step \d+\// })).code).toBe(
      130,
    );
  });

  it.runIf(platform() !== 'win32')('keeps its checkpoint where a link leads, also when it is overwritten', async () => {
    await mkdir(folder.at('linked'));
    await symlink(folder.at('stored.safetensors'), folder.at('linked/checkpoint.safetensors'));
    for (const args of [[], ['--overwrite', '--seed', '1']]) {
      expect((await train('linked', args)).code).toBe(0);
      expect(await readlink(folder.at('linked/checkpoint.safetensors'))).toBe(folder.at('stored.safetensors'));
      const { metadata, close } = await openSafetensors(folder.at('stored.safetensors'));
      close();
      expect(metadata.get('simdformer.checkpoint')).toContain(`"seed":${args.length === 0 ? 0 : 1},`);
    }
  });

  it('ends at the diverging step with advice, and keeps its checkpoint', async () => {
    const schedule = { kind: 'constant', peak: 1e30, warmup: 0 };
    const diverging = { ...task, data: folder.at('text.txt'), schedule, clipNorm: null };
    await writeFile(folder.at('diverging.json'), JSON.stringify(diverging));
    const checkpoint = folder.at('diverged/checkpoint.safetensors');
    const { code, stdout, stderr } = await train('diverged', ['--json'], {}, 'diverging.json');
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    const message =
      /^simdformer: the training diverged: fit: the loss of step \d is (NaN|-?Infinity).*Lower schedule\.peak/m;
    expect(stderr).toMatch(message);
    const left = await readFile(checkpoint);
    const resumed = await train('diverged', ['--resume', '--steps', '5'], {}, 'diverging.json');
    expect(resumed.code).toBe(1);
    expect(resumed.stderr).toMatch(message);
    expect(await readFile(checkpoint)).toEqual(left);
  });

  it.each([2, 0])('of pronunciations does the same when it diverges, with %i of them held out', async (validation) => {
    await writeFile(folder.at('pairs.tsv'), 'ab\tA B\nba\tB A\nabb\tA B B\nbba\tB B A\n');
    const schedule = { kind: 'constant', peak: 1e30, warmup: 0 };
    const sizes = { ...model, encoderLayers: 1, tieEmbeddings: false };
    const diverging = { task: 'pronunciation', model: sizes, validation, validateEvery: 1, schedule, clipNorm: null };
    const data = folder.at('pairs.tsv');
    await writeFile(folder.at('wild.json'), JSON.stringify({ ...diverging, data, batch: 60, steps: 4 }));
    const { code, stdout, stderr } = await train(`wild-${validation}`, ['--json'], {}, 'wild.json');
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^simdformer: the training diverged: fit: .* Lower schedule\.peak and start again/m);
    expect(stderr).not.toContain('no next token');
  });

  it('names a damaged checkpoint and a remedy', async () => {
    await mkdir(folder.at('damaged'));
    const checkpoint = folder.at('damaged/checkpoint.safetensors');
    await saveSafetensors(checkpoint, {}, { 'simdformer.checkpoint': '{"state": {"step": -1}, "optimizer": {}}' });
    const { code, stdout, stderr } = await train('damaged', ['--resume']);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(
      /checkpoint\.safetensors cannot be used: its step is -1, expected .*\. --overwrite starts again$/m,
    );
  });
});
