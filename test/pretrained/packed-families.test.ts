// Families with unusual parts, packed: what can be packed is, they write, and adapters train on them.
import { expect, it } from 'vitest';
import type { PretrainedModel } from '../../src/models/pretrained-model.js';
import { MixtureOfExperts } from '../../src/nn/mixture-of-experts.js';
import { PackedWeight } from '../../src/nn/weight.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { lora } from '../../src/pretrained/peft/lora.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';
import { filesOf } from './reference.js';

const device = await deviceFor(isas[0]!, 2);
const data = testData('families');
const mxfp4 = testData('formats/quantized');

it.each([
  'gemma3n',
  'gemma4',
  'gemma4_moe',
  't5gemma',
  't5gemma2',
  'gpt_oss',
  'granitemoehybrid',
  'lfm2_moe',
  'olmoe',
  'qwen3_moe',
])('%s generates with packed weights, and adapters train on them', async (name) => {
  for (const weights of ['int8', 'bfloat16'] as const) {
    const model = (await loadModel(device, await filesOf(data, name), { weights })) as PretrainedModel;
    const owned = model.weightNames().map(({ part }) => (part as { weight?: unknown }).weight);
    expect(owned.some((weight) => weight instanceof PackedWeight)).toBe(true);
    for (const part of model.modules())
      if (part instanceof MixtureOfExperts)
        for (const { weight } of [part.gates, part.ups ?? part.gates, part.downs])
          expect(weight).toBeInstanceOf(PackedWeight);
    const { sequences } = await model.generate([[5, 6, 7]], { maxNewTokens: 4, stopTokens: [] });
    expect(sequences[0]).toHaveLength(4);
    lora(model, { r: 2 });
    model.train();
    const ids = [[5, 6, 7, 8, 9]];
    model.forward({ inputIds: ids, labels: ids }).loss!.backward();
    const trained = model.namedTensors().filter(([path]) => path.includes('lora_'));
    expect(trained.length).toBeGreaterThan(0);
    for (const [path, tensor] of trained) expect(tensor.grad, path).not.toBeNull();
    model.dispose();
  }
});

it('keeps MXFP4 experts as they are stored, with the same values', async () => {
  const files = await filesOf(mxfp4, 'mxfp4-gpt-oss');
  const options = { weights: 'auto', activations: 'float32' } as const;
  const packed = (await loadModel(device, files, options)) as PretrainedModel;
  const floats = (await loadModel(device, files, { weights: 'float32' })) as PretrainedModel;
  const experts = packed.modules().filter((part) => part instanceof MixtureOfExperts);
  expect(experts).toHaveLength(2);
  for (const { gates, downs } of experts)
    for (const { weight } of [gates, downs]) expect((weight as PackedWeight).format).toBe('mxfp4');
  const logits = (model: PretrainedModel) => model.forward({ inputIds: [[5, 6, 7, 8, 9, 10]] }).logits!.dataSync();
  const [given, wanted] = [Array.from(logits(packed)), Array.from(logits(floats))];
  const max = Math.max(...wanted.map(Math.abs));
  expect(Math.max(...given.map((value, i) => Math.abs(value - wanted[i]!)))).toBeLessThan(1e-5 * max);
  packed.dispose();
  floats.dispose();
});

it('a step reads only the chosen experts', async () => {
  const model = (await loadModel(device, await filesOf(data, 'qwen3_moe'), { weights: 'int8' })) as PretrainedModel;
  const [mixture] = model.modules().filter((part) => part instanceof MixtureOfExperts);
  const x = device.tensor(
    Float32Array.from({ length: 32 }, (_, i) => Math.sin(i)),
    [1, 32],
  );
  const { ids } = mixture!.route(x);
  const before = mixture!.forward(x).dataSync().slice();
  const chosen = new Set(Array.from(ids.dataSync()));
  // Values of other experts change nothing, even infinite scales.
  for (const part of [mixture!.gates, mixture!.ups!, mixture!.downs]) {
    const { words, rows, format } = (part.weight as PackedWeight).parts[0]!;
    const each = words.size / 4;
    expect([rows % 4, format.name]).toEqual([0, 'int8']);
    const values = words.dataSync().slice() as Int32Array;
    for (let expert = 0; expert < 4; expert++)
      if (!chosen.has(expert)) values.fill(0x7f800000, expert * each, (expert + 1) * each);
    words.write(values);
  }
  expect(mixture!.forward(x).dataSync()).toEqual(before);
  model.dispose();
});
