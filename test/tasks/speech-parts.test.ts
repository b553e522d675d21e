// automatic-speech-recognition by models that transcribe parts of recordings, and by CTC Conformers.
import { describe, expect, it } from 'vitest';
import { createDevice, loadModel, type Tensor } from '../../src/index.js';
import type { ParakeetTransducer } from '../../src/models/families/parakeet.js';
import type { ParakeetFeatureExtractor } from '../../src/pretrained/processors/filter-banks.js';
import { pipeline } from '../../src/tasks/index.js';
import { testData } from '../test-data.js';

const data = testData('families');
const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

/** Files of a checkpoint, with a tokenizer of pieces of words: every third one begins a word. */
async function filesOf(name: string, processor: object) {
  const config = await data.json<{ vocab_size: number; pad_token_id: number }>(`${name}/config.json`);
  const vocab = Object.fromEntries(
    Array.from({ length: config.vocab_size }, (_, i) => [`${i % 3 ? '' : '▁'}t${i}`, i]),
  );
  return {
    'config.json': json(config),
    'model.safetensors': await data.bytes(`${name}/model.safetensors`),
    'preprocessor_config.json': json(processor),
    'tokenizer.json': json({
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: [],
      normalizer: null,
      pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true },
      post_processor: null,
      decoder: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true },
      model: { type: 'WordLevel', vocab, unk_token: 't1' },
    }),
  };
}

const sound = Float32Array.from({ length: 16000 }, (_, i) => 0.3 * Math.sin(0.05 * i) * Math.sin(0.0007 * i));

describe('automatic-speech-recognition', async () => {
  const device = await createDevice();

  it('transcribes with Moonshine, part by part', async () => {
    const files = await filesOf('moonshine', {
      feature_extractor_type: 'Wav2Vec2FeatureExtractor',
      do_normalize: false,
    });
    const model = await loadModel(device, files);
    const recognize = await pipeline('automatic-speech-recognition', model);
    const { sequences } = await model.generate(device.tensor(sound, [1, sound.length]), { maxNewTokens: 6 });
    const { text } = await recognize(sound, { max_new_tokens: 6 });
    expect(text).toBe(model.tokenizer?.decode(sequences[0] as number[]).trim());
    expect(text).not.toBe('');
    const told: string[] = [];
    const parts = await recognize(sound, {
      max_new_tokens: 4,
      chunk_length_s: 0.5,
      return_timestamps: true,
      onText: ({ text: piece }) => told.push(piece),
    });
    const times = parts.chunks?.map(({ timestamp }) => timestamp) ?? [];
    expect(times.length).toBeGreaterThan(1);
    expect(times[0]?.[0]).toBe(0);
    expect(times.at(-1)?.[1]).toBe(1);
    for (const [i, [start]] of times.entries()) if (i > 0) expect(start).toBe(times[i - 1]?.[1]);
    expect(parts.text).toBe(told.join(' '));
    await expect(recognize(sound, { return_timestamps: 'word' })).rejects.toThrow(/return_timestamps/);
    expect(await recognize(new Float32Array(10))).toEqual({ text: '' });
    model.dispose();
  });

  it('transcribes with Moonshine Streaming, which reads whole frames', async () => {
    const files = await filesOf('moonshine_streaming', { do_normalize: false, sampling_rate: 4000 });
    const model = await loadModel(device, files);
    const recognize = await pipeline('automatic-speech-recognition', model);
    const own = sound.subarray(0, 1191); // no whole number of frames
    const padded = new Float32Array(1200);
    padded.set(own);
    const { sequences } = await model.generate(device.tensor(padded, [1, 1200]), { maxNewTokens: 5 });
    const { text } = await recognize(own, { max_new_tokens: 5 });
    expect(text).toBe(model.tokenizer?.decode(sequences[0] as number[]).trim());
    model.dispose();
  });

  it('transcribes with a transducer, with times of words', async () => {
    const processor = { feature_extractor_type: 'ParakeetFeatureExtractor', feature_size: 16 };
    const model = await loadModel(device, await filesOf('parakeet_tdt', processor));
    const recognize = await pipeline('automatic-speech-recognition', model);
    const features = (model.processor as ParakeetFeatureExtractor).process([sound]);
    const [expected] = await (model as unknown as ParakeetTransducer).transcribe({
      inputFeatures: device.tensor(features.data, features.shape),
    });
    const ids = (expected?.sequence ?? []).filter((id) => id !== 23);
    const { text, chunks } = await recognize(sound, { return_timestamps: 'word' });
    expect(text).toBe(model.tokenizer?.decode(ids as number[]).trim());
    expect(chunks?.map((chunk) => chunk.text).join(' ')).toBe(text);
    for (const { timestamp } of chunks ?? []) expect(timestamp[1]).toBeGreaterThanOrEqual(timestamp[0] as number);
    model.dispose();
  });

  it('transcribes with Parakeet and wav2vec2-BERT: the most probable token of each frame, without repetitions', async () => {
    const cases = [
      ['parakeet_ctc', { feature_extractor_type: 'ParakeetFeatureExtractor', feature_size: 16 }],
      ['wav2vec2_bert', { feature_extractor_type: 'SeamlessM4TFeatureExtractor', num_mel_bins: 10 }],
    ] as const;
    for (const [name, processor] of cases) {
      const model = await loadModel(device, await filesOf(name, processor));
      const recognize = await pipeline('automatic-speech-recognition', model);
      const extractor = model.processor as ParakeetFeatureExtractor;
      const features = extractor.process([sound]);
      const logits = model.forward({ inputFeatures: device.tensor(features.data, features.shape) }).logits as Tensor;
      const [, frames, size] = logits.shape as [number, number, number];
      const values = logits.dataSync() as Float32Array;
      const best = Array.from({ length: frames }, (_, i) => {
        const row = Array.from(values.subarray(i * size, (i + 1) * size));
        return row.indexOf(Math.max(...row));
      });
      const blank = model.config.pad_token_id;
      const ids = best.filter((id, i) => id !== best[i - 1] && id !== blank);
      const { text, chunks } = await recognize(sound, { return_timestamps: 'word' });
      expect(text, name).toBe(model.tokenizer?.decode(ids as number[]).trim());
      expect(chunks?.map((chunk) => chunk.text).join(' ')).toBe(text);
      model.dispose();
    }
  });
});
