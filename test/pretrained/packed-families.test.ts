// Families with unusual parts, packed: what can be packed is, they write, and adapters train on them.
import { expect, it } from 'vitest';
import { Tensor } from '../../src/core/tensor.js';
import type { PretrainedModel } from '../../src/models/pretrained-model.js';
import { MixtureOfExperts } from '../../src/nn/mixture-of-experts.js';
import { PackedWeight } from '../../src/nn/weight.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { lora } from '../../src/pretrained/peft/lora.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';
import { filesOf } from './reference.js';

const device = await deviceFor(isas[0]!, 2);
const data = testData('reference3');

it.each([
  ...['gemma3n', 'gemma4', 'gemma4_moe', 't5gemma', 't5gemma2'],
  ...['gpt_oss', 'granitemoehybrid', 'lfm2_moe', 'olmoe', 'qwen3_moe'],
])('%s writes with packed weights, and adapters train on them', async (name) => {
  for (const weights of ['int8', 'bfloat16'] as const) {
    const model = (await loadModel(device, await filesOf(data, name), { weights })) as PretrainedModel;
    const owned = model.weightNames().map(({ part }) => (part as { weight?: unknown }).weight);
    expect(owned.some((weight) => weight instanceof PackedWeight)).toBe(true);
    // The product of tokens grouped by expert takes float32.
    for (const part of model.modules())
      if (part instanceof MixtureOfExperts) expect(part.gates.weight).toBeInstanceOf(Tensor);
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
