// Weights of attention that the explorer reads from a pass.
import { expect, it } from 'vitest';
import { weightsOfPass } from '../../examples/explorer/src/parts/bring/guest/computed.js';
import { createDevice } from '../../src/index.js';
import { attention } from '../../src/ops/index.js';

it('layers with too many numbers are named, and the others keep their numbers', async () => {
  using device = await createDevice({ threads: 2 });
  const attend = (tokens: number) => {
    const x = device.tensor(new Float32Array(tokens * 4), [1, tokens, 4]);
    return attention(x, x, x, { heads: 1 });
  };
  const { layers, tooLarge } = await weightsOfPass(device, () =>
    device.noGrad(() => device.scope(() => void [3, 2 ** 13 + 1, 5].map(attend))),
  );
  expect(tooLarge).toEqual([1]);
  expect(layers.map(({ layer, shape }) => [layer, shape])).toEqual([
    [0, [1, 1, 3, 3]],
    [2, [1, 1, 5, 5]],
  ]);
  expect(layers[0]?.weights[0]).toBeCloseTo(1 / 3, 6);
});
