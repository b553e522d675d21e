// Speech recognition by models that spell (CTC), compared with transformers' pipeline. make_spelled.py writes the numbers.
import { readFile } from 'node:fs/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { ArgumentError, FormatError } from '../../src/index.js';
import { loadModel } from '../../src/pretrained/index.js';
import { pipeline } from '../../src/tasks/index.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';
import expected from './spelled/expected.json' with { type: 'json' };

const RATE = 1000;
const data = testData('reference3');
const device = await deviceFor(isas[0]!, 2);
const own = ['vocab.json', 'tokenizer_config.json', 'preprocessor_config.json'];
const files = Object.fromEntries(
  await Promise.all([
    ...['config.json', 'model.safetensors'].map(async (name) => [name, await data.bytes(`wav2vec2/${name}`)]),
    ...own.map(async (name) => [name, new Uint8Array(await readFile(new URL(`spelled/${name}`, import.meta.url)))]),
  ]),
) as Record<string, Uint8Array>;
const model = await loadModel(device, files);
const recognize = await pipeline('automatic-speech-recognition', model);
afterAll(() => model.dispose());

/** The formula of make_spelled.py. */
const sound = (samples: number, seed: number) =>
  Float32Array.from(
    { length: samples },
    (_, i) => Math.sin((seed * i * i) / 900) * 0.5 + 0.3 * Math.sin(i / (3 + seed)),
  );

describe('models that spell', () => {
  it.each(expected.cases)('hear what transformers hears: $samples samples, $options', async (given) => {
    const result = await recognize(sound(given.samples, given.seed), given.options as object);
    expect(result.text).toBe(given.text);
    expect(result.chunks ?? null).toEqual(given.chunks);
  });

  it('encode letters, and words apart by their delimiter', () => {
    expect(model.tokenizer?.encode('ab c|x')).toEqual(expected.encoded);
  });

  it('hear several recordings, of other rates and too short ones', async () => {
    const [one, two] = [sound(700, 1), sound(1500, 3)];
    const texts: string[] = [];
    const onText = ({ text }: { text: string }) => texts.push(text);
    const results = await recognize([one, { array: two, sampling_rate: RATE }, new Float32Array(3)], { onText });
    expect(results.map(({ text }) => text)).toEqual([expected.cases[0]!.text, expected.cases[2]!.text, '']);
    expect(texts).toEqual(results.map(({ text }) => text));
  });

  it('refuse options of Whisper, strides that are too long, and samples that are no numbers', async () => {
    const samples = sound(700, 1);
    await expect(recognize(samples, { language: 'de' } as object)).rejects.toThrow(/language/);
    await expect(recognize(samples, { chunk_length_s: 1, stride_length_s: 0.5 })).rejects.toThrow(ArgumentError);
    await expect(recognize(samples, { return_timestamps: 'line' as 'word' })).rejects.toThrow(
      /return_timestamps is "line"/,
    );
    await expect(recognize(new Float32Array(700).fill(Number.NaN))).rejects.toThrow(/not finite/);
  });

  it('are refused where they lack their tokenizer, or a head', async () => {
    const { 'vocab.json': _, ...mute } = files;
    const without = await loadModel(device, mute);
    await expect(pipeline('automatic-speech-recognition', without)).rejects.toThrow(FormatError);
    without.dispose();
    const body = await loadModel(device, files, { head: 'none' });
    await expect(pipeline('automatic-speech-recognition', body)).rejects.toThrow(/head 'none'/);
    body.dispose();
  });
});
