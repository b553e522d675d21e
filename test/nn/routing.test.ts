// Observers of mixtures of experts see the choice and the weights of a pass.
import { expect, it } from 'vitest';
import { createDevice } from '../../src/index.js';
import { Initializer, MixtureOfExperts, type MixtureOfExpertsOptions, type Routing } from '../../src/nn/index.js';

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
