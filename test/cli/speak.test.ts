// Texts that are spoken, and recordings that another family than Whisper transcribes, from the command line.
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { readWav, writeWav } from '../../src/pretrained/processors/wav.js';
import { simdformer } from './run-cli.js';

const folder = mkdtempSync(join(tmpdir(), 'simdformer-speak-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** A folder with a checkpoint of test/data/families and further files. */
function modelOf(name: string, files: Readonly<Record<string, object>>, changes: object = {}): string {
  const from = `test/data/families/${name}`;
  const path = join(folder, name);
  mkdirSync(path);
  copyFileSync(`${from}/model.safetensors`, join(path, 'model.safetensors'));
  const config = JSON.parse(readFileSync(`${from}/config.json`, 'utf8'));
  for (const [file, content] of Object.entries({ 'config.json': { ...config, ...changes }, ...files }))
    writeFileSync(join(path, file), JSON.stringify(content));
  return path;
}

describe('speak', () => {
  const vocab = Object.fromEntries([..."k'zyuwoh-fexcbgtsmlrajvpidnq "].map((letter, i) => [letter, i]));
  const files = { 'vocab.json': { ...vocab, '<unk>': 29 }, 'tokenizer_config.json': { phonemize: false } };
  const path = modelOf('vits', files, { speaking_rate: 1e6 });

  it('writes a WAV file, the same one for equal seeds', async () => {
    const [one, two] = [join(folder, 'one.wav'), join(folder, 'two.wav')];
    const first = await simdformer(['speak', path, 'Hello dog', '-o', one, '--seed', '4']);
    expect(first.code, first.stderr).toBe(0);
    expect((await simdformer(['speak', path, '-o', two, '--seed', '4'], { input: 'Hello dog\n' })).code).toBe(0);
    expect(readFileSync(two)).toEqual(readFileSync(one));
    const { samplingRate, channels } = readWav(new Uint8Array(readFileSync(one)));
    expect(samplingRate).toBe(16000);
    expect(channels[0]?.length).toBeGreaterThan(0);
  });

  it('reports missing and invalid arguments', async () => {
    expect((await simdformer(['speak', path, 'Hello'])).stderr).toContain('--out');
    const silent = await simdformer(['speak', path, '123', '-o', join(folder, 'none.wav')]);
    expect(silent.code).not.toBe(0);
    expect(silent.stderr).toContain('no letter that the model knows');
  });
});

describe('transcribe', () => {
  it('transcribes with Parakeet, with times of words', async () => {
    const pieces = Object.fromEntries(Array.from({ length: 24 }, (_, i) => [`${i % 3 ? '' : '▁'}t${i}`, i]));
    const space = { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true };
    const path = modelOf('parakeet_ctc', {
      'preprocessor_config.json': { feature_extractor_type: 'ParakeetFeatureExtractor', feature_size: 16 },
      'tokenizer.json': {
        version: '1.0',
        truncation: null,
        padding: null,
        added_tokens: [],
        normalizer: null,
        post_processor: null,
        pre_tokenizer: space,
        decoder: space,
        model: { type: 'WordLevel', vocab: pieces, unk_token: 't1' },
      },
    });
    const recording = join(folder, 'sound.wav');
    writeFileSync(
      recording,
      writeWav(
        Float32Array.from({ length: 16000 }, (_, i) => 0.3 * Math.sin(0.05 * i)),
        16000,
      ),
    );
    const plain = await simdformer(['transcribe', path, recording]);
    expect(plain.code, plain.stderr).toBe(0);
    expect(plain.stdout.trim()).toMatch(/^t\d+/);
    const timed = await simdformer(['transcribe', path, recording, '--words']);
    expect(timed.stdout.trim()).toMatch(/^\[0\.\d\d-\d\.\d\d\] t\d+/);
    expect((await simdformer(['transcribe', path, recording, '--format', 'srt'])).stdout).toContain(' --> ');
  });
});
