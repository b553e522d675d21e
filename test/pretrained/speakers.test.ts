// Models of speech speak texts: SpeechT5 as transformers does, and VITS alike for equal seeds.
import { afterAll, describe, expect, it } from 'vitest';
import type { Tensor } from '../../src/index.js';
import type { SpeechT5 } from '../../src/models/families/speecht5.js';
import type { Vits } from '../../src/models/families/vits.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';
import { assertClose, largest } from '../tolerance.js';
import { filesOf, inputsOf, referenceOf } from './reference.js';

const data = testData('reference3');
const device = await deviceFor(isas[0] as string, 2);

describe('SpeechT5', async () => {
  const model = (await loadModel(device, await filesOf(data, 'speecht5'))) as unknown as SpeechT5;
  afterAll(() => model.dispose());
  const reference = await referenceOf(data, 'speecht5');
  const inputs = inputsOf(device, reference);
  const ids = (inputs.inputIds as number[][]).map((row) => row.filter((id) => id !== 1)); // without padding
  const voices = (await (inputs.speakerEmbeddings as Tensor).data()) as Float32Array;
  const width = voices.length / 2;

  it('writes the spectrogram of each text', async () => {
    const entry = reference.get('generated_spectrogram');
    const wanted = entry?.data() as Float32Array;
    const size = wanted.length / 2;
    for (const [i, row] of ids.entries()) {
      // The reference counts padding as tokens: 9 of them.
      const perToken = 9 / row.length;
      const spectrogram = await model.speak(row, {
        speakerEmbeddings: voices.slice(i * width, (i + 1) * width),
        minLengthRatio: perToken + 1e-9,
        maxLengthRatio: 3 * perToken,
      });
      const own = wanted.subarray(i * size, (i + 1) * size);
      assertClose(`text ${i}`, spectrogram, own, () => 2e-4 * largest(wanted));
    }
  });

  it('refuses voices and options that do not fit', async () => {
    const speakerEmbeddings = voices.slice(0, width);
    await expect(model.speak([5], { speakerEmbeddings: voices.slice(0, 3) })).rejects.toThrow(/expected float32/);
    await expect(model.speak([5], { speakerEmbeddings, threshold: 2 })).rejects.toThrow(/threshold is 2/);
    await expect(model.speak([5], { speakerEmbeddings, speed: 2 } as never)).rejects.toThrow(/no option speed/);
  });
});

describe('VITS', async () => {
  const files = await filesOf(data, 'vits');
  const config = JSON.parse(new TextDecoder().decode(files['config.json']));
  const noisy = { ...config, noise_scale: 0.667, noise_scale_duration: 0.05, speaking_rate: 16 };
  const bytes = new TextEncoder().encode(JSON.stringify(noisy));
  const model = (await loadModel(device, { ...files, 'config.json': bytes })) as unknown as Vits;
  afterAll(() => model.dispose());
  const ids = [[3, 0, 7, 0, 12, 0, 5]];

  it('speaks alike for equal seeds, and otherwise for others', async () => {
    const [one, again, other] = [await model.speak(ids), await model.speak(ids), await model.speak(ids, { seed: 5 })];
    expect(again).toEqual(one);
    expect(other).not.toEqual(one);
    expect(one[0]?.length).toBeGreaterThan(0);
    expect((one[0] as Float32Array).every((sample) => Math.abs(sample) <= 1)).toBe(true);
  });

  it('speaks faster at a higher rate', async () => {
    const [slow] = await model.speak(ids, { speakingRate: 8 });
    const [fast] = await model.speak(ids, { speakingRate: 64 });
    expect((slow as Float32Array).length).toBeGreaterThan(2 * (fast as Float32Array).length);
  });

  it('refuses options that make no sense', async () => {
    await expect(model.speak(ids, { speakingRate: 0 })).rejects.toThrow(/speakingRate is 0/);
    await expect(model.speak(ids, { speakerId: 1 })).rejects.toThrow(/speakerId is 1/);
    await expect(model.speak(ids, { seed: -1 })).rejects.toThrow(/seed/);
    await expect(model.speak(ids, { volume: 1 } as never)).rejects.toThrow(/volume/);
  });
});
