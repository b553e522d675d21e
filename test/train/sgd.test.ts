import { expect, it } from 'vitest';
import { createDevice } from '../../src/backend/pick.js';
import { ArgumentError } from '../../src/core/errors.js';
import { Random } from '../../src/core/random.js';
import { mul, sum } from '../../src/index.js';
import { SGD } from '../../src/train/sgd.js';

it("follows PyTorch's formula", async () => {
  const device = await createDevice({ threads: 2 });
  const random = new Random(3);
  const start = Float32Array.from({ length: 37 }, () => random.normal());
  const param = device.tensor(start, [37], { requiresGrad: true });
  const sgd = new SGD([param], { lr: 0.1, momentum: 0.9, weightDecay: 0.01 });
  const expected = { p: Float64Array.from(start), v: new Float64Array(37) };
  for (let step = 1; step <= 5; step++) {
    const g = Float32Array.from({ length: 37 }, () => random.normal());
    device.scope(() => sum(mul(param, device.tensor(g))).backward());
    const lr = 0.1 / step;
    sgd.step({ lr });
    sgd.zeroGrad();
    for (let i = 0; i < 37; i++) {
      const direction = (g[i] as number) + 0.01 * (expected.p[i] as number);
      expected.v[i] = 0.9 * (expected.v[i] as number) + direction;
      expected.p[i] = (expected.p[i] as number) - lr * (expected.v[i] as number);
    }
  }
  const values = await param.data();
  // Five steps of four rounded operations on values below 4.
  values.forEach((value, i) => {
    expect(Math.abs(value - (expected.p[i] as number))).toBeLessThan(20 * 4 * 2 ** -24);
  });
  expect(() => new SGD([param], { momentum: 1 })).toThrow(ArgumentError);
  device.dispose();
});
