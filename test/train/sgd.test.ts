import { expect, it } from 'vitest';
import { createDevice } from '../../src/core/create-device.js';
import { ArgumentError } from '../../src/core/errors.js';
import { Random } from '../../src/core/random.js';
import type { Tensor } from '../../src/core/tensor.js';
import { mul, sum } from '../../src/ops/index.js';
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

it('scales gradients down to a norm, and skips a step whose norm is not finite', async () => {
  const device = await createDevice({ threads: 2 });
  const param = device.tensor([1, -2], [2], { requiresGrad: true });
  const other = device.tensor([3], [1], { requiresGrad: true });
  const sgd = new SGD([param, other], { lr: 0.5, momentum: 0.5, weightDecay: 0.25 });
  const step = (g: number[]) => {
    device.scope(() => sum(mul(param, device.tensor(g))).backward());
    device.scope(() => sum(other).backward([0]));
    sgd.step({ maxNorm: 2.5 });
    sgd.zeroGrad();
  };
  const values = async () => [...(await param.data()), ...(await other.data())];
  step([3, 4]); // norm 5: halved
  const velocity = [1.5 + 0.25, 2 - 0.5, 0.75];
  const first = [1 - velocity[0]! / 2, -2 - velocity[1]! / 2, 3 - velocity[2]! / 2];
  (await values()).forEach((value, i) => void expect(value).toBeCloseTo(first[i]!, 5));
  const before = await values();
  const state = async () => Promise.all([...sgd.state().tensors.values()].map((tensor) => tensor.data()));
  const velocities = await state();
  for (const bad of [Number.NaN, Infinity, -Infinity]) step([bad, 1]);
  expect(await values()).toEqual(before);
  expect(await state()).toEqual(velocities);
  step([0, 1]);
  const second = first.map((p, i) => p - (0.5 * velocity[i]! + [0, 1, 0][i]! + 0.25 * p) / 2);
  (await values()).forEach((value, i) => void expect(value).toBeCloseTo(second[i]!, 5));
  device.dispose();
});

it('supports groups with their own rates and decays, and states with PyTorch’s names', async () => {
  const device = await createDevice({ threads: 1 });
  const [a, b] = [1, 1].map((value) => device.tensor([value], [1], { requiresGrad: true })) as [Tensor, Tensor];
  const sgd = new SGD([{ params: [a], lr: 0.5, weightDecay: 0.1 }, { params: [b] }], { lr: 0.25, momentum: 0.5 });
  for (let step = 0; step < 2; step++) {
    device.scope(() => sum(mul(a, b)).backward());
    sgd.step({ lr: 0.125 });
    sgd.zeroGrad();
  }
  // PyTorch's torch.optim.SGD, of the same groups and rates.
  expect((await a.data())[0]).toBeCloseTo(-0.285, 6);
  expect((await b.data())[0]).toBeCloseTo(0.75625, 6);
  const { tensors } = sgd.state();
  expect([...tensors.keys()]).toEqual(['0.momentum_buffer', '1.momentum_buffer']);
  expect(() => new SGD([{ params: [a], lr: -1 }])).toThrow('SGD: lr is -1');
  device.dispose();
});

it('checks a step before it changes anything', async () => {
  const device = await createDevice({ threads: 1 });
  const param = device.tensor([1], [1], { requiresGrad: true });
  const sgd = new SGD([param], { lr: 0.5 });
  const program = device.record(() => {
    sum(param).backward();
    sgd.step({ lr: 0.25 });
    sgd.zeroGrad();
  });
  expect(() => sgd.step({ lr: 9, maxNorm: 1 })).toThrow('SGD: no parameter has a gradient');
  sum(param).backward();
  expect(() => sgd.step({ lr: 9, maxNorm: -1 })).toThrow('SGD: maxNorm is -1, expected a positive number');
  sgd.zeroGrad();
  program.run(); // with the rate that was set last
  expect([...(await param.data())]).toEqual([0.75]);
  device.dispose();
});

it('has no state without momentum: rewritten parameters continue after a step that ruined them', async () => {
  const device = await createDevice({ threads: 2 });
  const param = device.tensor([1, 2], [2], { requiresGrad: true });
  const sgd = new SGD([param], { lr: 0.5 });
  const step = (g: number[]) => {
    device.scope(() => sum(mul(param, device.tensor(g))).backward());
    sgd.step();
    sgd.zeroGrad();
  };
  step([Number.NaN, Infinity]);
  expect([...(await param.data())]).toEqual([Number.NaN, -Infinity]);
  param.write([1, 2]);
  step([1, 1]);
  expect([...(await param.data())]).toEqual([0.5, 1.5]);
  device.dispose();
});
