// Classes of sounds, compared with transformers' pipeline. make_spelled.py writes the numbers.
import { readFile } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { FormatError } from '../../src/index.js';
import { pipeline } from '../../src/tasks/index.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';
import classes from './spelled/classes.json' with { type: 'json' };
import spectrogramClasses from './spelled/spectrogram-classes.json' with { type: 'json' };

const device = await deviceFor(isas[0]!, 2);
const [switches, reference] = [testData('switches'), testData('reference')];
const preprocessor = new Uint8Array(await readFile(new URL('spelled/preprocessor_config.json', import.meta.url)));
const files = {
  'config.json': await switches.bytes('hubert-classes/config.json'),
  'model.safetensors': await switches.bytes('hubert-classes/model.safetensors'),
  'preprocessor_config.json': preprocessor,
};

/** The formula of make_spelled.py. */
const sound = (samples: number, seed: number) =>
  Float32Array.from(
    { length: samples },
    (_, i) => Math.sin((seed * i * i) / 900) * 0.5 + 0.3 * Math.sin(i / (3 + seed)),
  );

const spectrogram = { feature_extractor_type: 'ASTFeatureExtractor', max_length: 11, num_mel_bins: 8 };
const ofSpectrograms = {
  'config.json': await switches.bytes('ast-classes/config.json'),
  'model.safetensors': await switches.bytes('ast-classes/model.safetensors'),
  'preprocessor_config.json': new TextEncoder().encode(JSON.stringify(spectrogram)),
};

it.each([
  ['samples', files, classes],
  ['spectrograms', ofSpectrograms, spectrogramClasses],
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

it('refuses models of text, and unknown options', async () => {
  await using classify = await pipeline('audio-classification', files, { device });
  await expect(classify(sound(400, 1), { top_k: -1 })).rejects.toThrow(/top_k is -1/);
  await expect(classify('no-such-file.wav')).rejects.toThrow(/no-such-file/);
  const text = {
    'config.json': await reference.bytes('bert-sequence/config.json'),
    'model.safetensors': await reference.bytes('bert-sequence/model.safetensors'),
  };
  await expect(pipeline('audio-classification', text, { device })).rejects.toThrow(FormatError);
});
