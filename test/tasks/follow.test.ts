// Transcription of recordings that are still going on, by the API and from the command line.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { ArgumentError } from '../../src/core/errors.js';
import { createDevice } from '../../src/index.js';
import { pcm16, writeWav } from '../../src/pretrained/processors/wav.js';
import { pipeline } from '../../src/tasks/index.js';
import type { PartialTranscript } from '../../src/tasks/speech/follow.js';
import { simdformer } from '../cli/run-cli.js';
import { testData } from '../test-data.js';

const RATE = 16000;
const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

/** A Moonshine of random weights, which writes other words for other sounds. */
async function moonshine(): Promise<Record<string, Uint8Array>> {
  const data = testData('families/moonshine');
  const config = await data.json<{ vocab_size: number }>('config.json');
  const vocab = Object.fromEntries(Array.from({ length: config.vocab_size }, (_, i) => [`▁t${i}`, i]));
  const metaspace = { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true };
  return {
    'config.json': json(config),
    'model.safetensors': await data.bytes('model.safetensors'),
    'generation_config.json': await data.bytes('generation_config.json'),
    'preprocessor_config.json': json({ feature_extractor_type: 'Wav2Vec2FeatureExtractor', do_normalize: false }),
    'tokenizer.json': json({
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: [],
      normalizer: null,
      post_processor: null,
      pre_tokenizer: metaspace,
      decoder: metaspace,
      model: { type: 'WordLevel', vocab, unk_token: '▁t1' },
    }),
  };
}

/** Tones of other heights, with pauses after them, in multiples of 1/32768. */
function speech(seconds: readonly (readonly [tone: number, pause: number])[]): Float32Array {
  const parts = seconds.flatMap(([tone, pause], part) => [
    ...Array.from({ length: tone * RATE }, (_, i) => 0.4 * Math.sin((0.03 + 0.02 * part) * i + 1e-6 * i * i)),
    ...new Array<number>(pause * RATE).fill(0),
  ]);
  return Float32Array.from(parts, (sample) => Math.round(sample * 32767) / 32768);
}

async function* inPieces(samples: Float32Array, length: number): AsyncGenerator<Float32Array> {
  for (let at = 0; at < samples.length; at += length) {
    yield samples.slice(at, at + length);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** A stream of the web. */
const webStream = <T>(items: Iterable<T> | AsyncIterable<T>) =>
  (ReadableStream as unknown as { from(items: unknown): ReadableStream<T> }).from(items);

async function all(stream: AsyncIterable<PartialTranscript>): Promise<PartialTranscript[]> {
  const found: PartialTranscript[] = [];
  for await (const each of stream) found.push(each);
  return found;
}

describe('transcribe(stream)', async () => {
  const files = await moonshine();
  const device = await createDevice();
  const transcribe = await pipeline('automatic-speech-recognition', files, { device });
  const options = { max_new_tokens: 4 } as const;
  const sound = speech([
    [1.5, 0.8],
    [1.2, 0.8],
    [0.7, 0],
  ]);

  it('yields text during a part, and the final text at its end', async () => {
    const found = await all(transcribe(inPieces(sound, 1000), options));
    const last = found.at(-1) as PartialTranscript;
    expect(last.final).toBe(last.text);
    expect(new Set(found.map(({ final }) => final)).size).toBe(4); // none, and after each of three parts
    for (const [i, { text, final }] of found.entries()) {
      expect(text.startsWith(final)).toBe(true);
      if (i > 0) expect(final.startsWith(found[i - 1]!.final)).toBe(true);
    }
    // Steps of 0.2 s find pauses of 0.6 s at 2.2 s and 4.1 s, and cut in their middle.
    const cuts = [0, 1.9 * RATE, 3.8 * RATE, sound.length];
    const texts = [];
    for (let i = 0; i < 3; i++) texts.push((await transcribe(sound.slice(cuts[i], cuts[i + 1]), options)).text);
    expect(last.text).toBe(texts.join(' '));
    expect(found.length).toBeGreaterThan(4);
  });

  it('gives the same final text for pieces of any length, and for a stream of the web', async () => {
    const expected = (await all(transcribe(inPieces(sound, 1000), options))).at(-1);
    for (const length of [77, 16000, sound.length])
      expect((await all(transcribe(inPieces(sound, length), options))).at(-1)).toEqual(expected);
    const stream = webStream(inPieces(sound, 5000));
    expect((await all(transcribe(stream, options))).at(-1)).toEqual(expected);
  });

  it('cuts a recording without pauses', async () => {
    const found = await all(transcribe(inPieces(speech([[4, 0]]), 4000), { ...options, chunk_length_s: 1.5 }));
    expect(new Set(found.map(({ final }) => final)).size).toBeGreaterThan(2);
  });

  it('has no text for silence, and ends with an empty stream', async () => {
    expect(await all(transcribe(inPieces(new Float32Array(5 * RATE), 3000), options))).toEqual([
      { text: '', final: '' },
    ]);
    expect(await all(transcribe(inPieces(new Float32Array(0), 10), options))).toEqual([{ text: '', final: '' }]);
  });

  it('ends by the signal and by break, and closes the source', async () => {
    let closed = 0;
    async function* endless() {
      try {
        for (;;) {
          yield sound.slice(0, 4000);
          await new Promise((resolve) => setTimeout(resolve, 1));
        }
      } finally {
        closed++;
      }
    }
    const aborter = new AbortController();
    const run = async () => {
      for await (const _ of transcribe(endless(), { ...options, signal: aborter.signal }))
        aborter.abort(new Error('enough'));
    };
    await expect(run()).rejects.toThrow('enough');
    for await (const _ of transcribe(endless(), options)) break;
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(closed).toBe(2);
    const waiting = new ReadableStream<Float32Array>({});
    const stopped = transcribe(waiting, { signal: AbortSignal.timeout(10) });
    await expect(stopped.next()).rejects.toThrow(/timeout/);
  });

  it('passes errors on, and refuses invalid items and options', async () => {
    async function* broken() {
      yield sound.slice(0, 100);
      throw new Error('unplugged');
    }
    await expect(all(transcribe(broken(), options))).rejects.toThrow('unplugged');
    const bytes = webStream([Buffer.from('abc')]) as never;
    await expect(all(transcribe(bytes, options))).rejects.toThrow(ArgumentError);
    const stream = () => inPieces(sound, 1000);
    expect(() => transcribe(stream(), { return_timestamps: true })).toThrow(/a stream has no return_timestamps/);
    expect(() => transcribe(stream(), { chunk_length_s: 0 })).toThrow(/chunk_length_s is 0/);
    await expect(all(transcribe(stream(), { beams: 2 } as never))).rejects.toThrow(ArgumentError);
  });

  describe('from the command line', () => {
    const folder = mkdtempSync(join(tmpdir(), 'simdformer-follow-'));
    for (const [name, bytes] of Object.entries(files)) writeFileSync(join(folder, name), bytes);
    afterAll(() => rmSync(folder, { recursive: true, force: true }));

    it('writes a line for each part of samples and of a WAV file', async () => {
      const found = await all(transcribe(inPieces(sound, 1000)));
      const finals = [...new Set(found.map(({ final }) => final))];
      const lines = finals.slice(1).map((final, i) => final.slice(finals[i]!.length).trim());
      const wav = writeWav(sound, RATE);
      const samples = pcm16(sound);
      for (const input of [wav, samples]) {
        const { code, stdout, stderr } = await simdformer(['transcribe', folder, '--follow'], {
          input: Buffer.from(input),
        });
        expect(code, stderr).toBe(0);
        expect(stdout.trim().split('\n')).toEqual(lines);
      }
    });

    it('refuses other rates, files and formats', async () => {
      const input = Buffer.from(writeWav(sound, 8000));
      const rate = await simdformer(['transcribe', folder, '--follow'], { input });
      expect([rate.code, rate.stderr]).toEqual([1, expect.stringContaining('8000 samples a second, expected 16000')]);
      const file = await simdformer(['transcribe', folder, 'talk.wav', '--follow']);
      expect(file.stderr).toContain('expected no files');
      const format = await simdformer(['transcribe', folder, '--follow', '--format', 'srt']);
      expect(format.stderr).toContain('takes no --format');
    });
  });
});
