// Checkpoints that people use: what they write is known. `python3 scripts/models.py` fetches Whisper.
import { describe, expect, it } from 'vitest';
import { parseSafetensors } from '../../src/io/safetensors.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { describeReal } from '../real-models.js';
import { type TestData, testData } from '../test-data.js';
import { assertClose } from '../tolerance.js';

const filesOf = async (data: TestData, names: readonly string[]) =>
  Object.fromEntries(await Promise.all(names.map(async (name) => [name, await data.bytes(name)])));

describe('misaki-g2p-bart-us', () => {
  const data = testData('checkpoints/misaki-g2p-bart-us');
  it('generates the phonemes of words', async () => {
    const model = await loadModel(
      await deviceFor(isas[0] as string, 2),
      await filesOf(data, ['config.json', 'model.safetensors']),
    );
    const words =
      await data.json<Record<string, { input_ids: number[]; output_ids: number[]; logprob: number }>>(
        'reference_torch.json',
      );
    const all = Object.values(words);
    const { sequences } = await model.generate(all.map(({ input_ids: ids }) => ids));
    expect(sequences).toEqual(all.map(({ output_ids: ids }) => ids.slice(1, -1))); // without start and end
    model.dispose();
  });
});

describeReal('whisper-tiny.en', async (folder) => {
  describe('on the speech of JFK', () => {
    const truth = testData('checkpoints/real');
    it('gives the features, the encoding, the tokens and the text', async () => {
      const device = await deviceFor(isas[0] as string, 2);
      const model = await loadModel(device, folder);
      const { tensors } = parseSafetensors(await truth.bytes('whisper-tiny.en.safetensors'));
      const features = tensors.get('input_features')!;
      const bins = features.shape.at(-2) as number;
      const input = device.tensor(features.data() as Float32Array, [1, bins, features.shape.at(-1) as number]);
      const name = [...tensors.keys()].find((each) => each !== 'input_features')!;
      const expected = tensors.get(name)!.data() as Float32Array;
      const got = (await model.encode(input).hidden.data()).slice(0, expected.length) as Float32Array;
      assertClose(name, got, expected, () => 1e-3);
      const { ids, text } = await truth.json<{ ids: number[]; text: string }>('whisper-tiny.en.json');
      const { sequences } = await model.generate(input);
      expect(sequences).toEqual([ids.slice(1, -1)]);
      expect(model.tokenizer?.decode(sequences[0] as number[])).toContain(text.trim());
      model.dispose();
    });
  });
});
