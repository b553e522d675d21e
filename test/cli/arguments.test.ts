import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { DEFAULT_WEIGHTS } from '../../src/pretrained/packed-options.js';
import { hasWasm } from '../equipment.js';
import { argumentsOf, simdformer } from './run-cli.js';

const COMMANDS = ['info', 'train', 'run', 'score', 'attention', 'eval', 'bench'];

describe('arguments', () => {
  it.concurrent.each(COMMANDS)('%s --help', async (command) => {
    const { code, stdout, stderr } = await simdformer([command, '--help']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(new RegExp(`^Usage: simdformer ${command}`));
    expect(stdout.split('\n').filter((line) => line.length > 100)).toEqual([]);
  });

  it.concurrent.each(['run', 'serve', 'bench', 'finetune'])(
    '%s --help has the defaults of loadModel',
    async (command) => {
      const help = (await simdformer([command, '--help'])).stdout.replace(/\s+/g, ' ');
      expect(help).toContain(`(default: ${DEFAULT_WEIGHTS.packed} for GGUF files, otherwise ${DEFAULT_WEIGHTS.other})`);
    },
  );

  it.concurrent('--version prints the version of the package', async () => {
    const { version } = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8'));
    expect(await simdformer(['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
  });

  it.concurrent('prints the help without arguments', async () => {
    const { code, stdout } = await simdformer([], { threads: null });
    expect(code).toBe(0);
    for (const command of COMMANDS) expect(stdout).toContain(`  ${command} `);
  });

  it.concurrent.each<[string, RegExp]>([
    ['trian', /unknown command 'trian'\n\(Did you mean train\?\)/],
    ['info --jsno', /unknown option '--jsno'\n\(Did you mean --json\?\)/],
    ['run', /missing required argument 'model'/],
    ['run model text --beams x', /'--beams <n>' argument 'x' is invalid. Expected an integer, 1 to 4096/],
    ['run model text --sample --n-best 1e8', /'1e8' is invalid. Expected an integer, 1 to 4096/],
    ['info model --length x', /'--length <n>' argument 'x' is invalid. Expected an integer, 1 or more/],
    ['train characters', /required option '-o, --out <folder>' not specified/],
    ['train characters -o x --steps 1 --epochs 1', /cannot be used with/],
    ['info --threads 0', /'--threads <n>' argument '0' is invalid. Expected an integer, 1 to 64/],
    ['train characters -o x --seed -3', /Expected an integer, 0 or more/],
    ['train characters -o x --ignore-index 0.5', /Expected an integer, -2147483648 to 2147483647/],
    ['info --isa mmx', /Allowed choices are avx512/],
    ['info --matmul float16', /Allowed choices are float32, bfloat16/],
    ['attention g2p-en hello -o x.png', /'x\.png' is invalid.*pictures are SVG, not png/],
  ])('%s: is a usage error', async (args, message) => {
    const { code, stdout, stderr } = await simdformer(args.split(' '));
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(message);
    expect(stderr).toContain('--help');
  });

  it.concurrent.each<[string, RegExp]>([
    [
      'run no-such-model text',
      /there is no model 'no-such-model': expected a folder, a hub id such as ORGANISATION\/NAME, a GGUF file/,
    ],
    [
      'score test/data/checkpoints/tinystories-656k hello',
      /is a pretrained model, expected one that `simdformer train` saved/,
    ],
    ['train pronounciation -o x', /neither a task \(pronunciation, translation, characters\) nor a .json file/],
    ['train no-such.json -o x', /no-such.json: there is no such file/],
    ['train characters -o x', /give its file with --data/],
    ['train characters -o x --data no-such.txt', /no-such.txt: there is no such file/],
    ['train characters -o x --data test', /: test: it is a folder \(EISDIR\)/],
  ])('%s: reports the missing file', async (args, message) => {
    const { code, stdout, stderr } = await simdformer(args.split(' '));
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(message);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
  });
});

describe('without a model', () => {
  it.concurrent('info describes the device', async () => {
    const { code, stdout } = await simdformer(['info', '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ threads: 1, version: expect.any(String), isa: expect.any(String) });
  });

  if (hasWasm)
    it.concurrent('info gives the reason why the addon is not used', async () => {
      const { stdout } = await promisify(execFile)(process.execPath, ['--no-addons', ...argumentsOf(['info'])]);
      expect(stdout).toContain('wasm backend');
      expect(stdout).toMatch(/^why not native {3}the native addon .* did not load from/m);
    });

  it.concurrent('bench times every op', async () => {
    const sizes = '--d-model 16 --heads 2 --layers 1 --length 8'.split(' ');
    const { code, stdout } = await simdformer(['bench', '--json', ...sizes]);
    expect(code).toBe(0);
    const { milliseconds, ops } = JSON.parse(stdout);
    expect(milliseconds).toBeGreaterThan(0);
    expect(ops.map(({ op }: { op: string }) => op)).toContain('matmul');
  });

  it.concurrent.each([
    '--d-model 60000 --heads 60',
    '--batch 1000000000',
    '--length 1000000000',
    '--batch 1000000000 --length 1 --d-model 2 --heads 1',
  ])('bench reports a %s that is too large', async (sizes) => {
    const { code, stdout, stderr } = await simdformer(['bench', ...sizes.split(' ')]);
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(stderr).toMatch(/memory|does not fit/);
  });

  it.concurrent('bench names the flag for texts that are too long for a model', async () => {
    const { code, stderr } = await simdformer(['bench', 'test/data/families/bert-pooler']);
    expect(code).toBe(1);
    expect(stderr).toContain('--length is 128, but test/data/families/bert-pooler reads at most 40 tokens');
  });

  it.concurrent('bench --train shows the memory that gradient checkpointing saves', async () => {
    const sizes = '--d-model 16 --heads 2 --layers 4 --batch 4 --length 32'.split(' ');
    const { code, stdout } = await simdformer(['bench', '--train', '--json', ...sizes]);
    expect(code).toBe(0);
    const { plain, checkpointed } = JSON.parse(stdout);
    expect(checkpointed.bytes).toBeLessThan(0.6 * plain.bytes);
  });
});
