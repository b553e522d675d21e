// Speech recognition by CTC models, compared with transformers' pipeline. make_spelled.py writes the numbers.
import { readFile } from 'node:fs/promises';
import { afterAll, describe, expect, it } from 'vitest';
import { ArgumentError, FormatError } from '../../src/index.js';
import { loadModel } from '../../src/pretrained/index.js';
import { readWav, writeWav } from '../../src/pretrained/processors/wav.js';
import { pipeline } from '../../src/tasks/index.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';
import expected from './spelled/expected.json' with { type: 'json' };
import { sound } from './spelled/sound.js';

const RATE = 1000;
const data = testData('families');
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

describe('CTC models', () => {
  it.each(expected.cases)('give the transcripts of transformers: $samples samples, $options', async (given) => {
    const result = await recognize(sound(given.samples, given.seed), given.options as object);
    expect(result.text).toBe(given.text);
    expect(result.chunks ?? null).toEqual(given.chunks);
  });

  it('search by beams, with times from the alignment of the text', async () => {
    const samples = sound(1500, 3);
    for (const numBeams of [2, 8]) {
      const { text, chunks = [] } = await recognize(samples, { num_beams: numBeams, return_timestamps: 'char' });
      expect(
        chunks
          .map((chunk) => chunk.text || ' ')
          .join('')
          .trim(),
      ).toBe(text);
      const times = chunks.flatMap(({ timestamp }) => timestamp as readonly number[]);
      expect(times.every((time, i) => i === 0 || time >= (times[i - 1] as number))).toBe(true);
      const { text: whole } = await recognize(samples, { numBeams, return_timestamps: 'word' });
      expect(whole).toBe(text);
    }
    expect(await recognize(samples, { num_beams: 1 })).toEqual(await recognize(samples));
    expect((await recognize(sound(3010, 5), { num_beams: 4, chunk_length_s: 0.8 })).text.length).toBeGreaterThan(0);
  });

  it('refuse hostile recordings before memory is taken', async () => {
    const wav = writeWav(new Float32Array(1 << 20), 8000);
    const view = new DataView(wav.buffer);
    view.setUint32(24, 1, true); // one sample a second: 16 billion samples at 16 kHz
    await expect(recognize(wav)).rejects.toThrow(/1 samples a second, expected at least/);
    view.setUint32(24, 8000, true);
    view.setUint32(40, 0xffffffff, true); // 4 GB of samples, of which 2 MB follow
    expect(() => readWav(wav)).toThrow(/4294967295 bytes of samples are declared, but 2097152 follow/);
    view.setUint32(4, 0xffffffff, true); // the lengths are unknown: the file is a stream
    expect(readWav(wav).channels[0]?.length).toBe(1 << 20);
    view.setUint16(22, 65535, true); // channels
    expect(readWav(wav).channels[0]?.length).toBe(Math.floor((1 << 20) / 65535));
  });

  it('encode letters, with a delimiter between words', () => {
    expect(model.tokenizer?.encode('ab c|x')).toEqual(expected.encoded);
  });

  it('transcribe several recordings, with other rates and too short ones', async () => {
    const [one, two] = [sound(700, 1), sound(1500, 3)];
    const texts: string[] = [];
    const onText = ({ text }: { text: string }) => texts.push(text);
    const results = await recognize([one, { array: two, sampling_rate: RATE }, new Float32Array(3)], { onText });
    expect(results.map(({ text }) => text)).toEqual([expected.cases[0]!.text, expected.cases[2]!.text, '']);
    expect(texts).toEqual(results.map(({ text }) => text));
  });

  it('refuse options of Whisper, strides that are too long, and samples that are not finite', async () => {
    const samples = sound(700, 1);
    await expect(recognize(samples, { language: 'de' } as object)).rejects.toThrow(/language/);
    await expect(recognize(samples, { chunk_length_s: 1, stride_length_s: 0.5 })).rejects.toThrow(ArgumentError);
    await expect(recognize(samples, { return_timestamps: true })).rejects.toThrow(/expected 'word' or 'char'/);
    await expect(recognize(samples, { num_beams: 0 })).rejects.toThrow(/num_beams is 0/);
    await expect(recognize(samples, { num_beams: 2, numBeams: 3 })).rejects.toThrow(/expected one of them/);
    await expect(recognize(samples, { return_timestamps: 'line' as 'word' })).rejects.toThrow(
      /return_timestamps is "line"/,
    );
    await expect(recognize(new Float32Array(700).fill(Number.NaN))).rejects.toThrow(/not finite/);
  });

  it('are refused without a tokenizer or a head', async () => {
    const { 'vocab.json': _, ...mute } = files;
    const without = await loadModel(device, mute);
    await expect(pipeline('automatic-speech-recognition', without)).rejects.toThrow(FormatError);
    without.dispose();
    const body = await loadModel(device, files, { head: 'none' });
    await expect(pipeline('automatic-speech-recognition', body)).rejects.toThrow(/head 'none'/);
    body.dispose();
  });
});
