import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { recompute } from '../../src/core/autograd.js';
import { createDevice } from '../../src/core/create-device.js';
import type { Device } from '../../src/core/device.js';
import { Random } from '../../src/core/random.js';
import type { Tensor } from '../../src/core/tensor.js';
import { ArgumentError } from '../../src/index.js';
import { add, gelu, linear, mul, relu, sum } from '../../src/ops/index.js';

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

  const plainly = (_: Tensor[], fn: () => Tensor) => fn();
  const functions: [what: string, fn: (h: Tensor) => Tensor][] = [
    ['a sum of its input and more', (h) => add(h, relu(h))],
    ['its input alone', (h) => h],
    ['a view of its input', (h) => h.columns(1, 3)],
    ['columns of a result', (h) => mul(h, h).columns(1, 3)],
  ];
  it.each(functions)('may return %s', (_, fn) => {
    const w = tensor([3, 4], 2);
    const gradient = (through: typeof plainly) => {
      w.zeroGrad();
      const before = device.memory().used;
      device.scope(() => {
        const h = mul(w, 2);
        sum(
          mul(
            through([h], () => fn(h)),
            3,
          ),
        ).backward();
      });
      return { values: w.grad?.dataSync(), leaked: device.memory().used - before };
    };
    gradient(plainly); // makes room for the gradient
    expect(gradient(recompute)).toEqual(gradient(plainly));
  });

  it('leaves tensors that need no gradient unchanged, and results that it did not make', async () => {
    const x = device.tensor([1, 2], [2], { requiresGrad: true });
    sum(
      add(
        recompute([x], () => mul(x.detach(), 2)),
        x,
      ),
    ).backward();
    expect(await x.grad?.data()).toEqual(Float32Array.of(1, 1));
    x.zeroGrad();
    const outside = mul(x, 3);
    sum(recompute([x], () => outside)).backward();
    expect(await x.grad?.data()).toEqual(Float32Array.of(3, 3));
    expect(() => recompute([x], () => 5 as unknown as Tensor)).toThrow(/what fn returned is 5, expected a tensor/);
  });

  it('refuses an empty list of inputs', () => {
    expect(() => recompute([], () => device.zeros([1]))).toThrow(ArgumentError);
    expect(() => recompute([], () => device.zeros([1]))).toThrow(
      'recompute: inputs is [], expected at least one tensor',
    );
    const x = tensor([1], 1);
    expect(() => recompute([x], (async () => x) as never)).toThrow('recompute: fn is asynchronous');
  });
});
