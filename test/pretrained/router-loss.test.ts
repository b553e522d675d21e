// Losses that balance experts: transformers' with output_router_logits, and the gradients of routers.
import { expect, it } from 'vitest';
import type { PretrainedModel } from '../../src/models/pretrained-model.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';
import { filesOf } from './reference.js';

interface Expected {
  readonly loss: number;
  readonly gradients: Readonly<Record<string, readonly number[]>>;
}

const device = await deviceFor(isas.at(-1) as string, 2);
const cases = await testData('../pretrained').json<Record<string, Expected>>('router-loss.json');
const inputIds = [
  [5, 6, 7, 8, 9, 10, 11],
  [12, 13, 14, 15],
];

async function load(name: string): Promise<PretrainedModel> {
  const files = await filesOf(testData('families'), name);
  const config = JSON.parse(new TextDecoder().decode(files['config.json'] as Uint8Array));
  const changed = { ...config, output_router_logits: true, router_aux_loss_coef: 0.5 };
  const json = new TextEncoder().encode(JSON.stringify(changed));
  return (await loadModel(device, { ...files, 'config.json': json })) as PretrainedModel;
}

it.each(Object.entries(cases))('%s: the loss and the gradients of routers', async (name, { loss, gradients }) => {
  const model = await load(name);
  const given = model.forward({ inputIds, labels: inputIds }).loss!;
  expect(Math.abs(given.dataSync()[0]! - loss)).toBeLessThan(1e-5 * loss);
  given.backward();
  const all = model.gradientDict();
  for (const [key, values] of Object.entries(gradients)) {
    const own = all[key]!.dataSync();
    const max = Math.max(...values.map(Math.abs));
    for (const [i, value] of values.entries()) expect(Math.abs(own[i]! - value), key).toBeLessThan(1e-3 * max);
  }
  model.dispose();
});

it('does not go with gradient checkpointing', async () => {
  const model = await load('qwen3_moe');
  model.train();
  for (const part of model.modules()) if ('recomputes' in part) part.recomputes = true;
  expect(() => model.forward({ inputIds, labels: inputIds })).toThrow('gradientCheckpointing');
  model.dispose();
});
