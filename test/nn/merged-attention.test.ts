// Attention to a target and its source in one softmax, in a whole model.
import { afterAll, expect, it } from 'vitest';
import type { PretrainedModel } from '../../src/models/pretrained-model.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { filesOf } from '../pretrained/reference.js';
import { testData } from '../test-data.js';

const device = await deviceFor(isas[0]!, 2);
const model = (await loadModel(device, await filesOf(testData('families'), 't5gemma2'))) as PretrainedModel;
afterAll(() => model.dispose());
const text = (length: number, seed: number) =>
  Array.from({ length }, (_, i) => 3 + ((i * i * seed + 5 * i + seed) % 85));

it('steps give the results of one pass', () => {
  const [source, target] = [text(9, 2), text(8, 3)]; // longer than the window of 4
  const whole = model.forward({ inputIds: [source], decoderInputIds: [target] }).logits!;
  const [, time, vocabulary] = whole.shape as [number, number, number];
  const expected = whole.dataSync();
  const largest = Math.max(...Array.from(expected, Math.abs));
  const memory = model.encode([source]);
  using state = model.startDecoding({ memory, maxLength: 16 });
  for (let t = 0; t < time; t++) {
    state.tokens.write([target[t]!]);
    const logits = model.step(state).dataSync();
    // float32 rounding of two layers: sums of some thirty terms.
    for (const [i, value] of logits.entries())
      expect(Math.abs(value - expected[t * vocabulary + i]!), `token ${t}`).toBeLessThan(1e-5 * largest);
  }
});

it('generates the same for a batch of sources of different lengths as for each source, also with beams', async () => {
  const sources = [text(9, 2), text(3, 4), text(14, 5)];
  for (const numBeams of [1, 3]) {
    const options = { maxNewTokens: 10, stopTokens: [], numBeams };
    const { sequences } = await model.generate(sources, options);
    for (const [i, source] of sources.entries())
      expect((await model.generate([source], options)).sequences[0]).toEqual(sequences[i]);
  }
});

it('has equal gradients with gradient checkpointing', () => {
  const gradients = () => {
    model.train();
    model.forward({ inputIds: [text(9, 2), text(4, 3)], labels: [text(7, 4), text(7, 5)] }).loss!.backward();
    model.eval();
    return model.namedTensors().map(([path, { grad }]) => {
      const values = grad && Array.from(grad.dataSync());
      grad?.dispose();
      return [path, values];
    });
  };
  const plain = gradients();
  model.gradientCheckpointing = true;
  const again = gradients();
  model.gradientCheckpointing = false;
  expect(again).toEqual(plain);
});

it('refuses packed keys', () => {
  const memory = model.encode([text(4, 1)]);
  expect(() => model.startDecoding({ memory, cacheType: 'int8' })).toThrow(/cacheType is int8, expected float32/);
});
