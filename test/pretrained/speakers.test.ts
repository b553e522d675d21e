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

const data = testData('families');
const device = await deviceFor(isas[0] as string, 2);

describe('SpeechT5', async () => {
  const model = (await loadModel(device, await filesOf(data, 'speecht5'))) as unknown as SpeechT5;
  afterAll(() => model.dispose());
  const reference = await referenceOf(data, 'speecht5');
  const inputs = inputsOf(device, reference);
  const ids = (inputs.inputIds as number[][]).map((row) => row.filter((id) => id !== 1)); // without padding
  const voices = (await (inputs.speakerEmbeddings as Tensor).data()) as Float32Array;
  const width = voices.length / 2;

  it('generates the spectrogram of each text', async () => {
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
  const noisy = { ...config, noise_scale: 0.667, noise_scale_duration: 0.05, speaking_rate: 1e6 };
  const bytes = new TextEncoder().encode(JSON.stringify(noisy));
  const model = (await loadModel(device, { ...files, 'config.json': bytes })) as unknown as Vits;
  afterAll(() => model.dispose());
  const ids = [[3, 0, 7, 0, 12, 0, 5]];

  it('gives equal speech for equal seeds, and different speech for others', async () => {
    const [one, again, other] = [await model.speak(ids), await model.speak(ids), await model.speak(ids, { seed: 5 })];
    expect(again).toEqual(one);
    expect(other).not.toEqual(one);
    expect(one[0]?.length).toBeGreaterThan(0);
    expect((one[0] as Float32Array).every((sample) => Math.abs(sample) <= 1)).toBe(true);
  });

  it('converts its noise to the sound of transformers', async () => {
    // VitsModel in float64, with the numbers of `new Random(0).normal()` in place of torch's.
    const wanted = [
      0.8136701, 0.5556233, 0.2249285, 0.9795507, -0.9244749, 0.3956967, 0.991282, -0.8317513, 0.9573184, 0.931956,
      -0.4291315, 0.9871223, -0.8117472, 0.9293986, 0.9354681, 0.6031634, 0.9461058, 0.5895141, 0.1911374, 0.9983066,
      -0.8230778, 0.9848861, -0.3992267, 0.9822378, 0.9996175, 0.9994002, -0.7620035, 0.9524295, -0.9994698, 0.9999961,
      0.9397116, 0.9437619, 0.9983314, 0.9618431, 0.999235, 0.9994337, -0.5366252, 0.4371551, 0.998616, 0.7735782,
    ];
    const [samples] = await model.speak(ids);
    expect(samples).toHaveLength(384);
    const actual = Float32Array.from(wanted, (_, i) => samples?.[7 * i] as number);
    assertClose('samples', actual, Float32Array.from(wanted), () => 2e-4 * largest(wanted));
  });

  it('speaks faster at a higher rate', async () => {
    const [slow] = await model.speak(ids, { speakingRate: 1e6 });
    const [fast] = await model.speak(ids, { speakingRate: 4e6 });
    expect((slow as Float32Array).length).toBeGreaterThan(2 * (fast as Float32Array).length);
  });

  it('refuses invalid options', async () => {
    await expect(model.speak(ids, { speakingRate: 0 })).rejects.toThrow(/speakingRate is 0/);
    await expect(model.speak(ids, { speakerId: 1 })).rejects.toThrow(/speakerId is 1/);
    await expect(model.speak(ids, { seed: -1 })).rejects.toThrow(/seed/);
    await expect(model.speak(ids, { volume: 1 } as never)).rejects.toThrow(/volume/);
  });
});
