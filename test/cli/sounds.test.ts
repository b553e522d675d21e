// Commands that classify sounds, with small random checkpoints.
import { copyFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { writeWav } from '../../src/pretrained/processors/wav.js';
import recorded from '../tasks/zero-shot-audio.json' with { type: 'json' };
import { simdformer } from './run-cli.js';

const folder = mkdtempSync(join(tmpdir(), 'simdformer-sounds-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const wav = join(folder, 'sound.wav');
const samples = Float32Array.from({ length: 3000 }, (_, i) => Math.sin((i * i) / 900) * 0.5 + 0.3 * Math.sin(i / 4));
writeFileSync(wav, writeWav(samples, 16_000));

function checkpoint(from: string, files: Record<string, object>): string {
  const path = mkdtempSync(join(folder, 'model-'));
  for (const file of ['config.json', 'model.safetensors']) copyFileSync(`${from}/${file}`, join(path, file));
  for (const [file, content] of Object.entries(files)) writeFileSync(join(path, file), JSON.stringify(content));
  return path;
}

it('classify --sounds prints the classes of each recording', async () => {
  const model = checkpoint('test/data/families/hubert-classes', {});
  copyFileSync('test/tasks/spelled/preprocessor_config.json', join(model, 'preprocessor_config.json'));
  const { code, stdout, stderr } = await simdformer(['classify', model, '--sounds', '--top-k', '2', wav, wav]);
  expect(code, stderr).toBe(0);
  const [first, second, ...rest] = stdout.trim().split('\n');
  expect(first).toMatch(/^LABEL_\d\t0\.\d{6}\tLABEL_\d\t0\.\d{6}$/);
  expect([second, rest]).toEqual([first, []]);
  const text = await simdformer(['classify', model, '--sounds', 'README.md']);
  expect([text.code === 0, text.stderr]).toEqual([false, expect.stringContaining('this is not a readable sound file')]);
});

it('classify --sounds --labels compares recordings with texts, by CLAP', async () => {
  const { processor, tokenizer } = recorded;
  const files = { 'preprocessor_config.json': processor, 'tokenizer.json': tokenizer };
  const model = checkpoint('test/data/families/clap', files);
  const labels = ['--labels', 'w15 w16,w30', '--template', 'w9 {}'];
  const { code, stdout, stderr } = await simdformer(['classify', model, '--sounds', '--top-k', '2', ...labels, wav]);
  expect(code, stderr).toBe(0);
  const fields = stdout.trim().split('\t');
  expect([fields[0], fields[2]].sort()).toEqual(['w15 w16', 'w30']);
  expect(Number(fields[1]) + Number(fields[3])).toBeCloseTo(1, 5);
});
