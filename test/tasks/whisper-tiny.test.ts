// whisper-tiny.en through pipelines.
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseSafetensors } from '../../src/io/safetensors.js';
import { Whisper } from '../../src/models/families/whisper.js';
import { mixDown, readWav } from '../../src/pretrained/processors/wav.js';
import { WhisperFeatureExtractor } from '../../src/pretrained/processors/whisper.js';
import {
  AutoProcessor,
  load_audio,
  pipeline,
  type SpeechRecognitionOptions,
  WhisperForConditionalGeneration,
} from '../../src/tasks/index.js';
import { describeReal } from '../real-models.js';
import { testData } from '../test-data.js';

/** Results of transformers' pipeline (make_speech.py). */
interface Recorded {
  readonly options: SpeechRecognitionOptions;
  readonly output: { readonly text: string; readonly chunks?: { text: string; timestamp: [number, number | null] }[] };
}
const recordings: {
  readonly real: readonly Recorded[];
  readonly long: readonly Recorded[];
  readonly quality: { readonly averageLogProbability: number; readonly noSpeechProbability: number };
} = JSON.parse(readFileSync(new URL('speech.json', import.meta.url), 'utf8'));

/** The largest difference. */
const apart = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(b).reduce((most, value, i) => Math.max(most, Math.abs(value - (a[i] as number))), 0);

describeReal('whisper-tiny.en', async (path) => {
  describe('on the speech of JFK', async () => {
    const truth = testData('checkpoints/real');
    const wav = await truth.bytes('jfk-16k.wav');

    it('has the features, the encoding, the tokens and the text', async () => {
      const recognize = await pipeline('automatic-speech-recognition', path);
      const { model, device } = recognize;
      const { processor } = model;
      if (!(model instanceof Whisper && processor instanceof WhisperFeatureExtractor)) throw new Error('no Whisper');
      const { tensors } = parseSafetensors(await truth.bytes('whisper-tiny.en.safetensors'));
      const { data, shape } = processor.process([mixDown(readWav(wav))]);
      expect(apart(data, tensors.get('input_features')!.data())).toBeLessThan(1e-4);
      const encoding = [...tensors.keys()].find((each) => each !== 'input_features')!;
      const features = device.tensor(data, [...shape]);
      expect(apart(await model.encode(features).hidden.data(), tensors.get(encoding)!.data())).toBeLessThan(1e-3);
      const { ids, text } = await truth.json<{ ids: number[]; text: string }>('whisper-tiny.en.json');
      expect((await model.generate(features)).sequences).toEqual([ids.slice(1, -1)]);
      const pieces: string[] = [];
      const onText = ({ text: piece }: { text: string }) => void pieces.push(piece);
      expect(await recognize(wav, { onText })).toEqual({ text });
      expect(pieces.join('')).toBe(text);
      for (const { options, output } of recordings.real) expect(await recognize(wav, options)).toEqual(output);
      await recognize.dispose();
    });

    it('is read by AutoProcessor, and written by its model', async () => {
      const processor = await AutoProcessor.from_pretrained(path);
      const model = await WhisperForConditionalGeneration.from_pretrained(path);
      const written = await model.generate({
        ...(await processor(await load_audio(wav, processor.sampling_rate as number))),
        max_new_tokens: 60,
      });
      const { ids, text } = await truth.json<{ ids: number[]; text: string }>('whisper-tiny.en.json');
      expect(Array.from(written.at(0).data, Number)).toEqual(ids.slice(0, -1));
      expect(processor.batch_decode(written, { skip_special_tokens: true })).toEqual([text]);
      await model.dispose();
    });

    it('transcribes several windows with the earlier text as prompt, skips silence, and reports its confidence', async () => {
      const recognize = await pipeline('automatic-speech-recognition', path);
      const jfk = mixDown(readWav(wav));
      const long = new Float32Array(4 * (jfk.length + 24_000));
      for (let i = 0; i < 4; i++) long.set(jfk, i * (jfk.length + 24_000));
      for (const { options, output } of recordings.long) {
        const told: string[] = [];
        const onText = ({ text }: { text: string }) => void told.push(text);
        const heard = await recognize(long, { ...options, return_timestamps: true, onText });
        expect(heard, JSON.stringify(options)).toEqual(output);
        expect(told.join('')).toBe(output.text);
      }
      const { chunks } = await recognize(jfk, { return_timestamps: true, return_quality: true });
      const { quality } = chunks![0]!;
      expect(quality!.averageLogProbability).toBeCloseTo(recordings.quality.averageLogProbability, 2);
      expect(quality!.noSpeechProbability).toBeCloseTo(recordings.quality.noSpeechProbability, 3);
      const again = { temperature: [0, 0.7], logprob_threshold: 0, seed: 3, return_quality: true };
      const drawn = await recognize(jfk, { ...again, return_timestamps: true });
      expect(drawn.chunks!.every((each) => each.quality?.temperature === 0.7)).toBe(true);
      await expect(recognize(jfk, { temperature: [] })).rejects.toThrow('a list of numbers from 0');
      await expect(recognize(jfk, { prompt_ids: [50257] })).rejects.toThrow('tokens of text');
      await recognize.dispose();
    });
  });
});
