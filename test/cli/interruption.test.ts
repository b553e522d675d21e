// Ctrl-C during any command: one line on standard error, status 130, and no file that was not there before.

import { spawn } from 'node:child_process';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pathToFileURL } from 'node:url';
import { build } from 'esbuild';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodeImage } from '../../src/pretrained/processors/decode-image.js';
import { argumentsOf, simdformer, temporaryFolder } from './run-cli.js';

/** A program that receives Ctrl-C as soon as it listens for it. */
const INTERRUPTS_ITSELF = `
  const interrupt = () => process.kill(process.pid, 'SIGINT');
  process.on('newListener', (name) => name === 'SIGINT' && setImmediate(interrupt));`;

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
let hub: Server;
let onRequest = () => {};

/** A hub that never answers. */
beforeAll(async () => {
  folder = await temporaryFolder();
  hub = createServer(() => onRequest());
  await new Promise<void>((resolve) => hub.listen(0, '127.0.0.1', resolve));
  await writeFile(folder.at('line.txt'), 'a line\n');
  await writeFile(folder.at('image.png'), await encodeImage({ width: 2, height: 2, data: new Uint8Array(12) }));
  await writeFile(folder.at('rows.jsonl'), '{"text":"a","label":"x"}\n{"text":"b","label":"y"}\n');
  await mkdir(folder.at('out'));
  await mkdir(folder.at('adapter'));
  const adapter = { peft_type: 'LORA', base_model_name_or_path: 'org/model', r: 1, target_modules: ['q'] };
  await writeFile(folder.at('adapter/adapter_config.json'), JSON.stringify(adapter));
  await writeFile(folder.at('at-once.mjs'), INTERRUPTS_ITSELF);
});
afterAll(async () => {
  hub.closeAllConnections();
  await new Promise((resolve) => hub.close(resolve));
  await folder.remove();
});

interface Interrupted {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
}

/** Runs a program until `begun` calls back, and interrupts it then. Standard input stays open. */
function interrupted(
  args: readonly string[],
  environment: NodeJS.ProcessEnv,
  begun: (callback: () => void, child: ReturnType<typeof spawn>) => void,
): Promise<Interrupted> {
  const env = { ...process.env, ...environment };
  const child = spawn(process.execPath, args, { env, stdio: ['pipe', 'pipe', 'pipe'] });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  begun(() => child.kill('SIGINT'), child);
  return new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal, stderr })));
}

describe('Ctrl-C while a model is being fetched ends', () => {
  const id = 'org/model';
  const at = (name: string) => folder.at(name);
  it.each<[string, () => string[]]>([
    ['embed', () => [id, at('line.txt'), '-o', at('out/embedded.npy')]],
    ['classify', () => [id, at('line.txt'), '-o', at('out/classes.txt')]],
    ['classify', () => [id, '--images', at('line.txt')]],
    ['translate', () => [id, at('line.txt'), '-o', at('out/translated.txt')]],
    ['transcribe', () => [id, at('line.txt'), '-o', at('out/transcribed.txt')]],
    ['transcribe', () => [id, '--follow']],
    ['speak', () => [id, '-o', at('out/spoken.wav')]],
    ['caption', () => [id, at('line.txt')]],
    ['depth', () => [id, at('line.txt'), '-o', at('out/depth.png')]],
    ['upscale', () => [id, at('line.txt'), '-o', at('out/large.png')]],
    ['segment', () => [id, at('image.png'), '-o', at('out/masks.png')]],
    ['detect', () => [id, at('image.png'), '-o', at('out/boxes.png')]],
    ['run', () => [id, 'a text', '--image', at('image.png')]],
    ['run', () => [id, 'a text']],
    ['bench', () => [id]],
    ['info', () => [id]],
    ['eval', () => [at('adapter'), at('rows.jsonl')]],
    ['finetune', () => finetuning()],
    ['merge', () => [id, '--out', at('out/merged')]],
    ['quantize', () => [id, at('out/quantized')]],
    ['quantize', () => [id, at('out/quantized.gguf')]],
  ])('%s', async (command, args) => {
    const environment = {
      HF_ENDPOINT: `http://127.0.0.1:${(hub.address() as AddressInfo).port}`,
      HF_HOME: folder.at('cache'),
    };
    const ended = await interrupted(argumentsOf([command, ...args()]), environment, (callback) => {
      onRequest = callback;
    });
    expect(ended).toEqual({ code: 130, signal: null, stderr: 'simdformer: stopped by Ctrl-C\n' });
    expect(await readdir(folder.at('out'))).toEqual([]);
  });

  function finetuning(): string[] {
    const task = ['--task', 'sequence-classification', '--data', folder.at('rows.jsonl')];
    return ['--model', id, ...task, '-o', folder.at('out/tuned')];
  }
});

describe('Ctrl-C during the work ends', () => {
  it.each([
    ['run', 'g2p-en', 'word'],
    ['score', 'g2p-en', 'w o r d', 'W ER1 D'],
    ['eval', 'g2p-en', 'rows.jsonl'],
    ['bench'],
    ['bench', '--train', '--layers', '1'],
  ])('%s', async (...args) => {
    const hook = `--import=${pathToFileURL(folder.at('at-once.mjs'))}`;
    const given = args.map((arg) => (arg === 'rows.jsonl' ? folder.at(arg) : arg));
    const ended = await interrupted(argumentsOf(given), { NODE_OPTIONS: hook }, () => {});
    expect(ended).toEqual({ code: 130, signal: null, stderr: 'simdformer: stopped by Ctrl-C\n' });
  });
});

it('Ctrl-C while bench draws the weights of its model ends it at once', async () => {
  // Another thread sends the signal, because the main thread is busy soon after it has loaded the engine.
  const hook = `
    const { Worker } = await import('node:worker_threads');
    const { dlopen } = process;
    process.dlopen = (...args) => {
      dlopen.apply(process, args);
      new Worker("setTimeout(() => process.kill(process.pid, 'SIGINT'), 300)", { eval: true }).unref();
    };`;
  await writeFile(folder.at('soon.mjs'), hook);
  const args = argumentsOf(['bench', '--layers', '48', '--d-model', '1152']);
  const NODE_OPTIONS = `--import=${pathToFileURL(folder.at('soon.mjs'))}`;
  expect(await interrupted(args, { NODE_OPTIONS }, () => {})).toEqual({ code: null, signal: 'SIGINT', stderr: '' });
});

it('a program that exits while it writes leaves the old file, and nothing else', async () => {
  const program = folder.at('writer.mjs');
  const written = folder.at('files/model.bin');
  await mkdir(folder.at('files'));
  await writeFile(written, 'before');
  await build({
    stdin: {
      contents: `
        import { exiting } from './src/cli/stopping.js';
        import { writeAtomically } from './src/io/atomic-write.js';
        async function* parts() {
          yield new Uint8Array(1000);
          console.log('begun');
          await new Promise((resolve) => setTimeout(resolve, 1e6));
        }
        exiting();
        await writeAtomically(new Map([[process.argv[2], parts()]]));`,
      resolveDir: '.',
    },
    outfile: program,
    bundle: true,
    format: 'esm',
    platform: 'node',
    logLevel: 'error',
  });
  const ended = await interrupted([program, written], {}, (callback, child) => child.stdout?.once('data', callback));
  expect(ended).toEqual({ code: 130, signal: null, stderr: 'simdformer: stopped by Ctrl-C\n' });
  expect(await readdir(folder.at('files'))).toEqual(['model.bin']);
  expect(await readFile(written, 'utf8')).toBe('before');
});

describe('an existing output stays as it is', () => {
  it('if an input is missing, also with --overwrite', async () => {
    const out = folder.at('kept.txt');
    await writeFile(out, 'results\n');
    for (const command of ['embed', 'classify', 'translate', 'transcribe']) {
      const { code, stderr } = await simdformer([command, 'org/model', folder.at('none'), '-o', out, '--overwrite']);
      expect(code).toBe(1);
      expect(stderr).toBe(`simdformer: ${folder.at('none')}: there is no such file or folder (ENOENT)\n`);
    }
    const inFolder = await simdformer(['caption', 'org/model', folder.at('.')]);
    expect(inFolder.stderr).toMatch(/^simdformer: .+: it is a folder \(EISDIR\)\n$/);
    expect(await readFile(out, 'utf8')).toBe('results\n');
  });

  it.each(['notes of mine\n', 'notes of mine', '[1, 2]\n', 'null\n'])(
    'if collect finds that it has no results: %j',
    async (text) => {
      const out = folder.at('notes.txt');
      await writeFile(out, text);
      const { code, stderr } = await simdformer(['collect', folder.at('rows.jsonl'), '--queue', 'q', '-o', out]);
      expect(code).toBe(1);
      expect(stderr).toMatch(
        /^simdformer: .*notes\.txt has results of other inputs than .*rows\.jsonl: give another --out/,
      );
      expect(await readFile(out, 'utf8')).toBe(text);
    },
  );
});
