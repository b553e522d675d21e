// Models with random weights, from a config alone.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { ArgumentError, createDevice, FormatError, loadModel } from '../../src/index.js';
import { newModel, type PretrainedModel } from '../../src/pretrained/index.js';

const device = await createDevice({ threads: 1 });
const folder = mkdtempSync(join(tmpdir(), 'new-model-'));
afterAll(() => {
  device.dispose();
  rmSync(folder, { recursive: true });
});

const sizes = { hidden_size: 8, intermediate_size: 12, num_hidden_layers: 1, num_attention_heads: 2 };
const config = { model_type: 'bert', vocab_size: 20, id2label: { 0: 'bad', 1: 'good', 2: 'fine' }, ...sizes };
const head = 'sequence-classification';

const logitsOf = (model: PretrainedModel) => {
  model.eval();
  return device.scope(() => model.forward({ inputIds: [[2, 5, 9, 3]] }).logits!.dataSync());
};

it('makes a model that is saved and loaded again', async () => {
  const model = await newModel(device, config, { head, seed: 3 });
  await model.save(folder);
  const again = await loadModel(device, folder);
  expect(again.headKind).toBe(head);
  expect(again.config.architectures).toEqual(['BertForSequenceClassification']);
  expect(logitsOf(again)).toEqual(logitsOf(model));
  expect(logitsOf(model)).toHaveLength(3);
});

it('takes the class of the config, and has other weights for another seed', async () => {
  const known = { ...config, architectures: ['BertForSequenceClassification'] };
  const [first, same, other] = [
    await newModel(device, known),
    await newModel(device, known),
    await newModel(device, known, { seed: 1 }),
  ];
  expect(first.headKind).toBe(head);
  expect(logitsOf(same)).toEqual(logitsOf(first));
  expect(logitsOf(other)).not.toEqual(logitsOf(first));
});

it('refuses unknown families, settings and options by name, and frees what it made', async () => {
  const before = device.memory().used;
  await expect(newModel(device, { ...config, model_type: 'berd' })).rejects.toThrow(FormatError);
  await expect(newModel(device, { ...config, hidden_size: 0 }, { head })).rejects.toThrow(/hidden_size is 0/);
  await expect(newModel(device, config, { head: 'depth-estimation' })).rejects.toThrow(/depth-estimation/);
  await expect(newModel(device, 'bert' as never)).rejects.toThrow(ArgumentError);
  await expect(newModel(device, config, { haed: head } as never)).rejects.toThrow(/haed/);
  await expect(newModel(device, config, { seed: -1 })).rejects.toThrow(/seed is -1/);
  expect(device.memory().used).toBe(before);
});
