// A step of `fit` pauses within its passes. Others can use the model and the device meanwhile.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { differentiable, passGrad } from '../../src/core/autograd.js';
import {
  CommandError,
  createDevice,
  type Device,
  DeviceError,
  DisposedError,
  fit,
  type Tensor,
} from '../../src/index.js';
import { add, embedding, mul, scale, sum } from '../../src/ops/index.js';
import { constant, type Objective } from '../../src/train/index.js';
import { computedIds } from '../computed-ids.js';
import { common, reversals, smallModel, weights } from './task.js';

let device: Device;
let turns = 0;
let isCounting = true;
const examples = reversals(40);

beforeAll(async () => {
  device = await createDevice({ threads: 2 });
  const count = () => {
    turns++;
    if (isCounting) setImmediate(count);
  };
  setImmediate(count);
});

afterAll(() => {
  isCounting = false;
  device.dispose();
});

/** Takes longer than work may take without a pause. */
function takeLong(): void {
  const end = performance.now() + 8;
  while (performance.now() < end);
}

/** `x` itself, whose backward pass takes long. Calls `seen` in the backward pass. */
function slowly(x: Tensor, seen: () => void = () => {}): Tensor {
  const y = scale(x.detach(), 1);
  return differentiable(y, [x], (dy) => {
    seen();
    takeLong();
    passGrad(x, dy);
  });
}

/** An objective over one parameter, whose passes consist of `parts`. */
function objective(
  parts: readonly (() => void)[],
  { inBackward = () => {}, values = [1, 2] }: { inBackward?: (part: number) => void; values?: number[] } = {},
): Objective<number> & { readonly weight: Tensor } {
  const weight = device.tensor(values, [values.length], { requiresGrad: true });
  const loss = function* ([factor]: readonly number[]): Generator<undefined, Tensor> {
    let y = mul(weight, factor as number);
    for (const [i, part] of parts.entries()) {
      part();
      y = slowly(mul(y, 2), () => inBackward(i));
      yield;
    }
    return sum(mul(y, y));
  };
  return {
    device,
    weight,
    train() {},
    eval() {},
    namedParameters: () => [['weight', weight]],
    namedTensors: () => [['weight', weight]],
    lossOf: () => {
      throw new Error('lossOfInParts is there');
    },
    lossOfInParts: loss,
  };
}

const options = { batchSize: 1, schedule: constant(0.1) } as const;
const nothing = () => {};

describe('a long step', () => {
  it('gives way to the event loop within both of its passes', async () => {
    const seen: number[] = [];
    const part = () => {
      takeLong();
      seen.push(turns);
    };
    const own = objective([part, part, part], { inBackward: () => seen.push(turns) });
    await fit(own, [1], { ...options, steps: 1 });
    expect(seen).toHaveLength(6);
    expect(new Set(seen).size).toBe(6);
  });

  it('gives way to the event loop between examples that are encoded at their first use', async () => {
    const seen: number[] = [];
    const own = objective([nothing]);
    own.tokensOf = () => {
      takeLong();
      seen.push(turns);
      return 1;
    };
    await fit(own, [1, 2, 3], { ...options, batchSize: 3, steps: 1 });
    expect(new Set(seen.slice(0, 3)).size).toBe(3);
  });

  it('has the bits of a step without pauses', async () => {
    const results: unknown[] = [];
    for (const part of [nothing, takeLong]) {
      const own = objective([part, part]);
      const { losses } = await fit(own, [1, 0.5, 0.25], { ...options, steps: 5 });
      results.push({ losses, weight: await own.weight.data() });
    }
    expect(results[1]).toEqual(results[0]);
  });

  it('has the bits of a step without pauses in batches of a step', async () => {
    const results: unknown[] = [];
    for (const part of [nothing, takeLong]) {
      const own = objective([part, part]);
      const { losses } = await fit(own, [1, 0.5, 0.25], { ...options, steps: 3, gradientAccumulation: 3 });
      results.push({ losses, weight: await own.weight.data() });
    }
    expect(results[1]).toEqual(results[0]);
  });

  it('leaves no mode of the device to others, who may compute and differentiate meanwhile', async () => {
    const expected = objective([nothing, nothing]);
    await fit(expected, [1], { ...options, steps: 3 });
    let isDone = false;
    let passes = 0;
    const kept: Tensor[] = [];
    const others = (async () => {
      while (!isDone) {
        await new Promise((resolve) => setImmediate(resolve));
        expect(device.gradientsOn).toBe(true);
        const x = device.tensor([3], [1], { requiresGrad: true });
        kept.push(x);
        sum(mul(x, x)).backward();
        expect([...(await x.grad!.data())]).toEqual([6]);
        passes++;
      }
    })();
    const own = objective([takeLong, takeLong]);
    await fit(own, [1], { ...options, steps: 3 });
    isDone = true;
    await others;
    expect(passes).toBeGreaterThan(3);
    for (const x of kept) expect([...(await x.data())]).toEqual([3]); // no scope of the run has taken them
    expect(await own.weight.data()).toEqual(await expected.weight.data());
  });

  it('changes no weight if a part of it fails when it runs', async () => {
    const fails = () => void embedding(device.zeros([4, 2]), computedIds(device, 9));
    for (const parts of [
      [fails, takeLong, takeLong],
      [takeLong, takeLong, fails],
    ]) {
      const own = objective(parts);
      const before = await own.weight.data();
      await expect(fit(own, [1], { ...options, steps: 2 })).rejects.toThrow(CommandError);
      expect(await own.weight.data()).toEqual(before);
      expect(own.weight.grad).toBeNull();
    }
  });

  it('leaves nothing in the queue while it pauses', async () => {
    const own = objective([takeLong, takeLong, takeLong]);
    const training = fit(own, [1], { ...options, steps: 4 });
    let isDone = false;
    const watching = (async () => {
      while (!isDone) {
        await new Promise((resolve) => setImmediate(resolve));
        device.flushSync(); // would run, and block for, what a step had left
        expect(await device.tensor([1]).item()).toBe(1);
      }
    })();
    await training;
    isDone = true;
    await watching;
  });

  it('ends with an error if the model, or the device, is disposed of meanwhile', async () => {
    const own = objective([takeLong, takeLong]);
    const training = fit(own, [1], {
      ...options,
      steps: 50,
      onStep: ({ step }) => void (step === 2 && own.weight.dispose()),
    });
    await expect(training).rejects.toThrow(DisposedError);
    const other = await createDevice({ threads: 1 });
    const model = smallModel(other);
    const loss = model.lossInParts.bind(model);
    model.lossInParts = function* (...args) {
      takeLong();
      yield;
      return yield* loss(...args);
    };
    const run = fit(model, examples, { ...common, steps: 50, onStep: () => other.dispose() });
    await expect(run).rejects.toThrow(DeviceError);
  });

  it('calls onStep between steps only, so that callbacks may use gradients', async () => {
    const expected = objective([nothing, nothing]);
    await fit(expected, [1], { ...options, steps: 4 });
    for (const skipNonFinite of [false, true]) {
      let isInside = false;
      const parts = [() => (isInside = true), takeLong];
      const own = objective(parts, { inBackward: (part) => (isInside = part > 0) });
      const onStep = () => {
        expect(isInside).toBe(false);
        sum(scale(own.weight, 7)).backward();
      };
      await fit(own, [1], { ...options, steps: 4, onStep, skipNonFinite });
      expect(await own.weight.data()).toEqual(await expected.weight.data());
    }
  });
});

describe('a model', () => {
  it('keeps the elements that dropout drops if another pass runs during a pause', async () => {
    for (const gradientCheckpointing of [false, true]) {
      const results: unknown[] = [];
      for (const disturbs of [false, true]) {
        const model = smallModel(device, { dropout: 0.3, encoderLayers: 2, decoderLayers: 2 });
        const loss = model.lossInParts.bind(model);
        model.lossInParts = function* (...args) {
          const parts = loss(...args);
          for (;;) {
            const { done, value } = parts.next();
            if (done) return value;
            if (disturbs) device.noGrad(() => model.forward([[3, 4]], [[1, 5]]).dispose());
            yield;
          }
        };
        const { losses } = await fit(model, examples, { ...common, steps: 3, gradientCheckpointing });
        results.push({ losses, weights: await weights(model) });
        model.dispose();
      }
      expect(results[1]).toEqual(results[0]);
    }
  });

  it('is trained by the loss of a subclass', async () => {
    const model = smallModel(device);
    let calls = 0;
    const loss = model.lossInParts.bind(model);
    model.lossInParts = function* (...args) {
      calls++;
      return add(yield* loss(...args), 0);
    };
    await fit(model, examples, { ...common, steps: 2 });
    expect(calls).toBe(2);
  });
});
