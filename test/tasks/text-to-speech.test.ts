// text-to-speech, its tokenizer, and /v1/audio/speech.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { createDevice, loadModel } from '../../src/index.js';
import type { SpeechT5 } from '../../src/models/families/speecht5.js';
import type { Vits } from '../../src/models/families/vits.js';
import { newModel } from '../../src/pretrained/index.js';
import { readWav, writeWav } from '../../src/pretrained/processors/wav.js';
import { openai } from '../../src/server/index.js';
import { pipeline } from '../../src/tasks/index.js';
import { parseTokenizer } from '../../src/tokenizers/huggingface.js';
import { vitsTokenizerJson } from '../../src/tokenizers/vits-vocabulary.js';
import { testData } from '../test-data.js';

const data = testData('families');
const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));
/** The config.json of a small vocoder, as transformers 5 writes it. */
const vocoderConfig = (bins: number) => ({
  architectures: ['SpeechT5HifiGan'],
  model_type: 'speecht5_hifigan',
  model_in_dim: bins,
  upsample_initial_channel: 8,
  upsample_rates: [3, 2],
  upsample_kernel_sizes: [5, 4],
  resblock_kernel_sizes: [3],
  resblock_dilation_sizes: [[1, 3]],
});
const vocab = {
  ...Object.fromEntries([..."k'zyuwoh-fexcbgtsmlrajvpidnq "].map((letter, i) => [letter, i])),
  '<unk>': 29,
};

describe('the tokenizer of VITS', () => {
  const idsOf = async (text: string, config: object = {}) =>
    Array.from(
      (await parseTokenizer(vitsTokenizerJson(vocab, { phonemize: false, ...config } as never) as object)).encode(text),
    );

  it("gives the ids of transformers' VitsTokenizer", async () => {
    const text = 'Hello - my dog, is CUTE!';
    const plain = [7, 10, 18, 18, 6, 28, 8, 28, 17, 3, 28, 25, 6, 14, 28, 24, 16, 28, 12, 4, 15, 10];
    expect(await idsOf(text, { add_blank: false })).toEqual(plain);
    expect(await idsOf(text)).toEqual([0, ...plain.flatMap((id) => [id, 0])]);
    expect(await idsOf('  a b ')).toEqual([0, 20, 0, 28, 0, 13, 0]);
    expect(await idsOf('É1?')).toEqual([]);
    expect(await idsOf('x')).toEqual([0, 11, 0]);
    expect(await idsOf('  a b ', { normalize: false })).toEqual([0, 28, 0, 28, 0, 20, 0, 28, 0, 13, 0, 28, 0]);
    expect(await idsOf('É1?', { normalize: false })).toEqual([0, 29, 0, 29, 0, 29, 0]);
  });

  it('does not exist for a model of phonemes, and refuses damaged vocabularies', () => {
    expect(vitsTokenizerJson(vocab)).toBe(null);
    expect(() => vitsTokenizerJson([1.5], { phonemize: false } as never)).toThrow(/vocab.json/);
    expect(() => vitsTokenizerJson({ a: 1 }, { phonemize: false } as never)).toThrow(/no token 0/);
  });
});

describe('text-to-speech', async () => {
  const device = await createDevice();
  const config = await data.json<object>('vits/config.json');
  const files = {
    'config.json': json({ ...config, speaking_rate: 1e6 }),
    'model.safetensors': await data.bytes('vits/model.safetensors'),
    'vocab.json': json(vocab),
    'tokenizer_config.json': json({ phonemize: false, tokenizer_class: 'VitsTokenizer' }),
  };
  const model = await loadModel(device, files);
  const speak = await pipeline('text-to-speech', model);
  afterAll(() => model.dispose());

  it('speaks with VITS', async () => {
    const { audio, sampling_rate } = await speak('Hello dog');
    expect(sampling_rate).toBe(16000);
    const [samples] = await (model as unknown as Vits).speak([Array.from(model.tokenizer?.encode('hello dog') ?? [])]);
    expect(audio).toEqual(samples);
    const many = await speak(['Hello dog', 'x'], { seed: 3 });
    expect(many).toHaveLength(2);
    await expect(speak('É1?')).rejects.toThrow(/no letter that the model knows/);
    await expect(speak(5 as never)).rejects.toThrow(/the text is 5/);
    await expect(speak('x', { vocoder: 'v' })).rejects.toThrow(/vocoder is given/);
    await expect(speak('x', { volume: 2 } as never)).rejects.toThrow(/volume/);
    await expect(speak('x', { signal: AbortSignal.abort() })).rejects.toThrow(/abort/i);
  });

  it('makes WAV files', async () => {
    const sound = await speak('Hello dog');
    const { samplingRate, channels } = readWav(sound.toWav());
    expect(samplingRate).toBe(16000);
    expect(channels).toHaveLength(1);
    for (const [i, sample] of sound.audio.entries())
      expect(Math.abs((channels[0]?.[i] as number) - sample)).toBeLessThan(2 / 32767);
    expect(readWav(writeWav(Float32Array.of(-2, 2, 0), 8000)).channels[0]).toEqual(
      Float32Array.of(-32767 / 32768, 32767 / 32768, 0),
    );
  });

  it('answers /v1/audio/speech with WAV or bare samples', async () => {
    const app = await openai({ models: { tts: model } });
    const ask = (body: object) =>
      app.request('/v1/audio/speech', {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ model: 'tts', voice: 'alloy', ...body }),
      });
    const wav = await ask({ input: 'Hello dog', response_format: 'wav' });
    expect(wav.status).toBe(200);
    expect(wav.headers.get('content-type')).toBe('audio/wav');
    const expected = (await speak('Hello dog')).toWav();
    expect(new Uint8Array(await wav.arrayBuffer())).toEqual(expected);
    const pcm = await ask({ input: 'Hello dog', response_format: 'pcm' });
    expect(pcm.headers.get('content-type')).toBe('audio/pcm;rate=16000;channels=1');
    expect(new Uint8Array(await pcm.arrayBuffer())).toEqual(expected.subarray(44));
    const mp3 = await ask({ input: 'Hello dog', response_format: 'mp3' });
    expect(mp3.status).toBe(400);
    expect(await mp3.json()).toMatchObject({ error: { message: expect.stringContaining('expected wav or pcm') } });
    expect((await ask({ input: '' })).status).toBe(400);
    expect((await ask({ input: '123' })).status).toBe(400);
    expect((await ask({ input: 'x', speed: 9 })).status).toBe(400);
    await app.close();
  });

  it('speaks with SpeechT5 and its vocoder', async () => {
    const config = await data.json<{ num_mel_bins: number }>('speecht5/config.json');
    const letters = Object.fromEntries(Array.from({ length: 40 }, (_, i) => [String.fromCharCode(97 + i), i]));
    const talker = await loadModel(device, {
      'config.json': json(config),
      'model.safetensors': await data.bytes('speecht5/model.safetensors'),
      'tokenizer.json': json({
        version: '1.0',
        truncation: null,
        padding: null,
        added_tokens: [],
        normalizer: null,
        pre_tokenizer: { type: 'Split', pattern: { Regex: '[\\s\\S]' }, behavior: 'Isolated', invert: false },
        post_processor: null,
        decoder: null,
        model: { type: 'WordLevel', vocab: letters, unk_token: 'd' },
      }),
    });
    const say = await pipeline('text-to-speech', talker);
    const voice = Float32Array.from({ length: 12 }, (_, i) => Math.sin(i));
    await expect(say('hey')).rejects.toThrow(/speaker_embeddings is undefined/);
    await expect(say('hey', { speaker_embeddings: voice, speaker_id: 1 })).rejects.toThrow(/speaker_id is given/);
    await expect(say('hey', { speaker_embeddings: new Uint8Array(5) })).rejects.toThrow(/5 bytes/);
    const ids = Array.from(talker.tokenizer?.encode('hey') ?? []);
    const spectrogram = await (talker as unknown as SpeechT5).speak(ids, { speakerEmbeddings: voice });
    expect(spectrogram.length % config.num_mel_bins).toBe(0);
    expect(spectrogram.every(Number.isFinite)).toBe(true);
    const folder = mkdtempSync(join(tmpdir(), 'vocoder-'));
    const vocoder = await newModel(device, vocoderConfig(config.num_mel_bins), { seed: 1 });
    await vocoder.save(folder);
    const spoken = await say('hey', { speaker_embeddings: voice, vocoder: folder });
    expect(spoken.sampling_rate).toBe(16000);
    expect(spoken.audio.length).toBe((spectrogram.length / config.num_mel_bins) * 6);
    await expect(say('hey', { speaker_embeddings: voice, vocoder: 'test/data/families/vits' })).rejects.toThrow(
      /the vocoder test\/data\/families\/vits is vits/,
    );
    rmSync(folder, { recursive: true });
    talker.dispose();
  });
});
