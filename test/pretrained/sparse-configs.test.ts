// Configs that lack settings which follow from others.
import { expect, it } from 'vitest';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';
import { filesOf } from './reference.js';

const device = await deviceFor(isas[0]!, 1);
const data = testData('switches');

it.each([['donut-swin', ['hidden_size', 'num_layers', 'stage_names']]] as const)(
  '%s without %j',
  async (name, absent) => {
    const files = await filesOf(data, name);
    const config = JSON.parse(new TextDecoder().decode(files['config.json']));
    for (const key of absent) delete config[key];
    const model = await loadModel(device, {
      ...files,
      'config.json': new TextEncoder().encode(JSON.stringify(config)),
    });
    expect(model.parameters().length).toBeGreaterThan(0);
    model.dispose();
  },
);
