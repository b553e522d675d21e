import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDevice } from '../../src/backend/pick.js';
import { recompute } from '../../src/core/autograd.js';
import type { Device } from '../../src/core/device.js';
import { Random } from '../../src/core/random.js';
import type { Tensor } from '../../src/core/tensor.js';
import { gelu, linear, sum } from '../../src/index.js';

let device: Device;
beforeAll(async () => {
  device = await createDevice({ threads: 2 });
});
afterAll(() => device.dispose());

function tensor(shape: number[], seed: number): Tensor {
  const random = new Random(seed);
  const values = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => random.normal() / 8);
  return device.tensor(values, shape, { requiresGrad: true });
}

describe('recompute', () => {
  it('gives the gradients of the plain computation, bit for bit, in less memory', async () => {
    const x = tensor([256, 64], 1);
    const weights = Array.from(
      { length: 6 },
      (_, i) => [tensor([64, 256], 10 + i), tensor([256, 64], 20 + i)] as const,
    );
    const params = [x, ...weights.flat()];
    const run = (layer: (inputs: Tensor[], fn: () => Tensor) => Tensor) => {
      for (const param of params) param.zeroGrad();
      device.resetPeak();
      const before = device.memory().used;
      device.scope(() => {
        let y = x;
        for (const [up, down] of weights) {
          const input = y;
          y = layer([input, up, down], () => linear(gelu(linear(input, up)), down));
        }
        sum(y).backward();
      });
      device.flushSync();
      const peak = device.memory().peak - before;
      return { peak, gradients: params.map((param) => param.grad?.dataSync()) };
    };
    run((_, fn) => fn()); // makes room for the gradients
    const plain = run((_, fn) => fn());
    const again = run(recompute);
    expect(again.gradients).toEqual(plain.gradients);
    expect(again.peak).toBeLessThan(0.5 * plain.peak);
  });
});
