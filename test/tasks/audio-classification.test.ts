// Classes of sounds, compared with transformers' pipeline. make_spelled.py writes the numbers.
import { mkdtempSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { FormatError } from '../../src/index.js';
import { parseSafetensors } from '../../src/io/safetensors.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { pipeline } from '../../src/tasks/index.js';
import { deviceFor, isas } from '../describe-op.js';
import { variants, weightsFile } from '../pretrained/variant.js';
import { testData } from '../test-data.js';
import classes from './spelled/classes.json' with { type: 'json' };
import { sound } from './spelled/sound.js';
import spectrogramClasses from './spelled/spectrogram-classes.json' with { type: 'json' };
import whisperClasses from './spelled/whisper-classes.json' with { type: 'json' };

const device = await deviceFor(isas[0]!, 2);
const families = testData('families');
const preprocessor = new Uint8Array(await readFile(new URL('spelled/preprocessor_config.json', import.meta.url)));
const files = {
  'config.json': await families.bytes('hubert-classes/config.json'),
  'model.safetensors': await families.bytes('hubert-classes/model.safetensors'),
  'preprocessor_config.json': preprocessor,
};

const spectrogram = { feature_extractor_type: 'ASTFeatureExtractor', max_length: 11, num_mel_bins: 8 };
const ofSpectrograms = {
  'config.json': await families.bytes('ast-classes/config.json'),
  'model.safetensors': await families.bytes('ast-classes/model.safetensors'),
  'preprocessor_config.json': new TextEncoder().encode(JSON.stringify(spectrogram)),
};

const { config, shapes } = variants.find(({ name }) => name === "Whisper's classes")!;
const json = (value: object) => new TextEncoder().encode(JSON.stringify(value));
const ofWhisper = {
  'config.json': json(config),
  'model.safetensors': weightsFile(shapes),
  'preprocessor_config.json': json(whisperClasses.settings),
};

it.each([
  ['samples', files, classes],
  ['spectrograms', ofSpectrograms, spectrogramClasses],
  ['spectrograms of 30 seconds', ofWhisper, whisperClasses.classes],
])('gives the scores of transformers for models of %s, the most probable first', async (_, given, recorded) => {
  await using classify = await pipeline('audio-classification', given, { device });
  const sounds = recorded.map(({ samples, seed }) => sound(samples, seed));
  const results = await classify(sounds);
  for (const [i, { scores }] of recorded.entries()) {
    expect(results[i]?.map(({ label }) => label)).toEqual(scores.map(({ label }) => label));
    for (const [j, { score }] of results[i]!.entries()) expect(Math.abs(score - scores[j]!.score)).toBeLessThan(1e-5);
  }
  expect(await classify(sounds[0]!, { top_k: 1 })).toEqual(results[0]?.slice(0, 1));
});

it.each([
  ['whisper', 'WhisperModel', 'WhisperForAudioClassification', 'encoder.layers.0.fc1.weight'],
  ['ast-classes', 'ASTModel', 'ASTForAudioClassification', 'classifier.dense.weight'],
])('adds classes to %s, and saves them by the names of transformers', async (name, body, architecture, weight) => {
  const given = await families.json<object>(`${name}/config.json`);
  const model = await loadModel(
    device,
    {
      'config.json': json({ ...given, architectures: [body] }),
      'model.safetensors': await families.bytes(`${name}/model.safetensors`),
    },
    { head: 'sequence-classification', labels: ['a', 'b', 'c'], onWarning: (_, code) => expect(code).toBe('new-head') },
  );
  const folder = mkdtempSync(join(tmpdir(), 'sounds-'));
  await model.save(folder);
  const saved = JSON.parse(await readFile(join(folder, 'config.json'), 'utf8')) as { architectures: string[] };
  expect(saved.architectures).toEqual([architecture]);
  const { tensors } = parseSafetensors(await readFile(join(folder, 'model.safetensors')));
  expect([...tensors.keys()]).toContain(weight);
  const again = await loadModel(device, folder, { onWarning: (message) => expect(message).toBe('') });
  expect(again.config.architectures).toEqual([architecture]);
  rmSync(folder, { recursive: true });
  model.dispose();
  again.dispose();
});

it('refuses models of text, and unknown options', async () => {
  await using classify = await pipeline('audio-classification', files, { device });
  await expect(classify(sound(400, 1), { top_k: -1 })).rejects.toThrow(/top_k is -1/);
  await expect(classify('no-such-file.wav')).rejects.toThrow(/no-such-file/);
  const text = {
    'config.json': await families.bytes('bert-sequence/config.json'),
    'model.safetensors': await families.bytes('bert-sequence/model.safetensors'),
  };
  await expect(pipeline('audio-classification', text, { device })).rejects.toThrow(FormatError);
});
