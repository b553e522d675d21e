// Configs that lack settings, or have unusual ones.
import { expect, it } from 'vitest';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';
import { filesOf, inputsOf, referenceOf } from './reference.js';

const device = await deviceFor(isas[0]!, 1);
const data = testData('families');

/** The files of a case, with another config. */
async function changed(name: string, change: (config: Record<string, Record<string, unknown>>) => void) {
  const files = await filesOf(data, name);
  const config = JSON.parse(new TextDecoder().decode(files['config.json']));
  change(config);
  return { ...files, 'config.json': new TextEncoder().encode(JSON.stringify(config)) };
}

it('makes patches of Swin without hidden_size', async () => {
  const files = await changed('donut-swin', (config) => {
    for (const key of ['hidden_size', 'num_layers', 'stage_names']) delete config[key];
  });
  const model = await loadModel(device, files);
  expect(model.parameters().length).toBeGreaterThan(0);
  model.dispose();
});

it("takes the grid of SAM's prompts from the sizes of images and patches", async () => {
  const files = await changed('sam', ({ prompt_encoder_config: prompts }) => {
    delete prompts?.image_embedding_size;
  });
  const model = await loadModel(device, files);
  const output = model.forward(inputsOf(device, await referenceOf(data, 'sam')));
  expect(output.predMasks?.shape.length).toBe(5);
  model.dispose();
});

it.each(['phi-norms', 'stablelm-norms'])('%s: refuses to rotate one feature', async (name) => {
  const files = await changed(name, (config) => {
    config.rope_parameters = { rope_type: 'default', rope_theta: 100, partial_rotary_factor: 0.25 };
  });
  await expect(loadModel(device, files)).rejects.toThrow(
    /partial_rotary_factor is 0\.25, which rotates 1 of 4 features/,
  );
});
