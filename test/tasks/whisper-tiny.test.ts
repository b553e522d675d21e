// whisper-tiny.en through pipelines.
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { parseSafetensors } from '../../src/io/safetensors.js';
import { Whisper } from '../../src/models/whisper.js';
import { mixDown, readWav } from '../../src/pretrained/processors/wav.js';
import { WhisperFeatureExtractor } from '../../src/pretrained/processors/whisper.js';
import { pipeline, type SpeechRecognitionOptions } from '../../src/tasks/index.js';
import { describeReal } from '../real-models.js';
import { describeShared } from '../shared.js';

/** What transformers' pipeline writes (make_speech.py). */
const { real: recorded }: { real: { options: SpeechRecognitionOptions; output: unknown }[] } = JSON.parse(
  readFileSync(new URL('speech.json', import.meta.url), 'utf8'),
);

/** The largest difference. */
const apart = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(b).reduce((most, value, i) => Math.max(most, Math.abs(value - (a[i] as number))), 0);

describeReal('whisper-tiny.en', async (path) => {
  await describeShared('on the speech of JFK', 'checkpoints/real', 'whisper-tiny.en.json', async (truth) => {
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
      for (const { options, output } of recorded) expect(await recognize(wav, options)).toEqual(output);
      await recognize.dispose();
    });
  });
});
