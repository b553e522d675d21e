// Observers of mixtures of experts see the choice and the weights of a pass.
import { expect, it } from 'vitest';
import { createDevice } from '../../src/index.js';
import { Initializer, MixtureOfExperts, type MixtureOfExpertsOptions, type Routing } from '../../src/nn/index.js';
import { loadModel } from '../../src/pretrained/index.js';
import { testData } from '../test-data.js';

const sizes = { dModel: 6, dFF: 5, experts: 4, chosen: 2 };

const kinds: [string, Partial<MixtureOfExpertsOptions>, (logits: number[], ids: number[]) => number[]][] = [
  ['softmax over all', {}, (logits, ids) => ids.map((id) => softmax(logits)[id]!)],
  ['softmax of the chosen', { weights: 'softmaxOfChosen' }, (logits, ids) => softmax(ids.map((id) => logits[id]!))],
  [
    'normalized sigmoids, times 3',
    { weights: 'sigmoid', normalized: true, scale: 3 },
    (logits, ids) => {
      const each = ids.map((id) => 1 / (1 + Math.exp(-logits[id]!)));
      return each.map((weight) => (3 * weight) / each.reduce((a, b) => a + b));
    },
  ],
  [
    'sigmoids, normalized with an epsilon',
    { weights: 'sigmoid', normalized: true, sumEpsilon: 0.25 },
    (logits, ids) => {
      const each = ids.map((id) => 1 / (1 + Math.exp(-logits[id]!)));
      return each.map((weight) => weight / (each.reduce((a, b) => a + b) + 0.25));
    },
  ],
];

function softmax(logits: readonly number[]): number[] {
  const powers = logits.map((logit) => Math.exp(logit));
  return powers.map((power) => power / powers.reduce((a, b) => a + b));
}

it.each(kinds)('%s', async (_, options, weightsOf) => {
  const device = await createDevice();
  const mixture = new MixtureOfExperts(new Initializer(device, 3), { ...sizes, ...options });
  const seen: Routing[] = [];
  mixture.observe((routing) => seen.push(routing));
  const x = device.tensor(
    Float32Array.from({ length: 18 }, (_, i) => Math.sin(7 * i)),
    [3, 6],
  );
  mixture.forward(x);
  mixture.observe(null);
  mixture.forward(x);
  expect(seen).toHaveLength(1);
  const { logits, ids, weights } = seen[0]!;
  expect(weights.shape).toEqual([3, 2]);
  const [scores, chosen, factors] = [logits, ids, weights].map((tensor) => [...tensor.dataSync()]);
  for (let row = 0; row < 3; row++) {
    const expected = weightsOf(scores!.slice(4 * row, 4 * row + 4), chosen!.slice(2 * row, 2 * row + 2));
    for (const [i, weight] of expected.entries()) expect(factors![2 * row + i]).toBeCloseTo(weight, 6);
  }
  device.dispose();
});

it('weights of LFM2 are divided by their sum and 1e-6, as in transformers', async () => {
  const device = await createDevice();
  const model = await loadModel(device, testData('families/lfm2_moe').path);
  const seen: Routing[] = [];
  for (const part of model.modules())
    if (part instanceof MixtureOfExperts) part.observe((routing) => seen.push(routing));
  const inputIds = [Array.from({ length: 30 }, (_, i) => (7 * i) % 20)];
  model.forward({ inputIds });
  const { logits, ids, weights } = seen[0]!;
  const [rows, chosen] = weights.shape as [number, number];
  const [scores, experts, factors] = [logits, ids, weights].map((tensor) => [...tensor.dataSync()]);
  const width = logits.shape[1]!;
  let [found, expected] = [0, 0];
  for (let row = 0; row < rows; row++) {
    const rowIds = experts!.slice(row * chosen, (row + 1) * chosen);
    const sum = rowIds.reduce((total, id) => total + 1 / (1 + Math.exp(-scores![row * width + id]!)), 0);
    found += factors!.slice(row * chosen, (row + 1) * chosen).reduce((a, b) => a + b) - 1;
    expected += sum / (sum + 1e-6) - 1;
  }
  expect(found / expected).toBeCloseTo(1, 1);
  device.dispose();
});
