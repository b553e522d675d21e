// Encoders with parts of their own compute nearly the same with packed weights.
import { expect, it } from 'vitest';
import { quantize } from '../../src/index.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';
import { filesOf, inputsOf, referenceOf } from './reference.js';

const data = testData('families');

it.each(['deberta', 'layoutlmv3', 'led', 'longformer', 'mobilebert', 'roformer', 'xlnet'])('%s', async (name) => {
  const model = await loadModel(await deviceFor(isas[0] as string, 2), await filesOf(data, name));
  const inputs = inputsOf(model.device, await referenceOf(data, name));
  const logits = async () => Array.from((await model.forward(inputs, { loss: false }).logits!.data()) as Float32Array);
  const before = await logits();
  quantize(model, { weights: 'float16' });
  const after = await logits();
  const length = (values: number[]) => Math.hypot(...values);
  const error = length(after.map((value, i) => value - (before[i] as number))) / length(before);
  expect(error).toBeGreaterThan(0);
  expect(error).toBeLessThan(0.02); // 11 bits round by 0.05 % in each of some twenty products
  model.dispose();
});
