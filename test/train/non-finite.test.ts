// Losses and weights that are NaN or infinite.

import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDevice, type Device, fit, NonFiniteError, type Tensor, type Transformer } from '../../src/index.js';
import { add, mul, scale, sqrt, sum } from '../../src/ops/index.js';
import type { FitOptions } from '../../src/train/fit.js';
import { constant } from '../../src/train/schedule.js';
import { common, reversals, smallModel, weights } from './task.js';

let device: Device;
let folder: string;
const examples = reversals(100);

beforeAll(async () => {
  device = await createDevice({ threads: 1 });
  folder = await mkdtemp(join(tmpdir(), 'simdformer-'));
});

afterAll(async () => {
  device.dispose();
  await rm(folder, { recursive: true });
});

/** A model whose loss at these calls, counted from 1, is times `factor`. */
function spoilt(calls: readonly number[], factor: number): Transformer {
  const model = smallModel(device);
  const loss = model.lossInParts.bind(model);
  let call = 0;
  model.lossInParts = function* (...args): Generator<unknown, Tensor> {
    const isSpoilt = calls.includes(++call);
    const result = yield* loss(...args);
    return isSpoilt ? mul(result, device.tensor([factor], [])) : result;
  };
  return model;
}

const six: FitOptions = { ...common, steps: 6 };

describe('a loss that is not finite', () => {
  it.each([Number.NaN, Number.POSITIVE_INFINITY])('ends the run, at its step: %d', async (factor) => {
    const model = spoilt([4], factor);
    const seen: number[] = [];
    const error = await fit(model, examples, { ...six, onStep: ({ step }) => seen.push(step) }).catch((e) => e);
    expect(error).toBeInstanceOf(NonFiniteError);
    expect(error).toMatchObject({ step: 4 });
    expect(error.message).toContain(`fit: the loss of step 4 is ${factor}`);
    expect(seen).toEqual([1, 2, 3]);
    expect(model.training).toBe(false);
  });

  it.each([1, null])(
    'is skipped where that is asked for, as if its step had not been: clipNorm %s',
    async (clipNorm) => {
      const batch = (n: number) => examples.slice(10 * n, 10 * n + 10);
      const options = { ...common, clipNorm };
      const [model, other] = [spoilt([2, 4], Number.NaN), smallModel(device)];
      const result = await fit(model, { perEpoch: 5, batch }, { ...options, steps: 5, skipNonFinite: true });
      expect(result).toMatchObject({ step: 5, skipped: 2 });
      expect(result.losses.map(Number.isFinite)).toEqual([true, false, true, false, true]);
      const kept = { perEpoch: 3, batch: (n: number) => batch([0, 2, 4][n]!) };
      await fit(other, kept, { ...options, steps: 3 });
      expect(await weights(model)).toEqual(await weights(other));
    },
  );

  it('does not change the bits of a finite run', async () => {
    const runs = [];
    for (const skipNonFinite of [false, true]) {
      const model = smallModel(device, { dropout: 0.1 });
      const options = { ...six, skipNonFinite, gradientAccumulation: 2 };
      const { losses, skipped } = await fit(model, examples, options);
      runs.push({ losses, skipped, weights: await weights(model) });
    }
    expect(runs[1]).toEqual(runs[0]);
    expect(runs[0]!.skipped).toBe(0);
  });

  it('is skipped for its gradients, too, if the loss itself is finite', async () => {
    const model = smallModel(device);
    const loss = model.lossInParts.bind(model);
    let call = 0;
    model.lossInParts = function* (...args) {
      const result = yield* loss(...args);
      if (++call !== 2) return result;
      const zero = scale(sum(model.parameters()[0]!), 0);
      return add(result, sqrt(zero)); // the gradient of the root is infinite, times 0
    };
    const { losses, skipped } = await fit(model, examples, { ...six, clipNorm: null, skipNonFinite: true });
    expect(losses.every(Number.isFinite)).toBe(true);
    expect(skipped).toBe(1);
  });

  it('is counted across a resumption', async () => {
    const checkpoint = join(folder, 'counted.safetensors');
    const options = { ...six, checkpoint, skipNonFinite: true };
    expect((await fit(spoilt([2], Number.NaN), examples, { ...options, steps: 3 })).skipped).toBe(1);
    const { skipped, step } = await fit(spoilt([1], Number.NaN), examples, { ...options, resume: true });
    expect({ skipped, step }).toEqual({ skipped: 2, step: 6 });
  });
});

describe('weights that are not finite', () => {
  it('never replace a checkpoint', async () => {
    const checkpoint = join(folder, 'kept.safetensors');
    const wild: FitOptions = { ...common, clipNorm: null, checkpoint, checkpointEvery: 1 };
    const model = smallModel(device);
    await fit(model, examples, { ...wild, steps: 2 });
    const before = await readFile(checkpoint);
    const spoil = () => {
      model.generator.bias!.write(Float32Array.from(model.generator.bias!.dataSync(), () => Number.NaN));
    };
    const ended = fit(model, examples, { ...wild, steps: 3, resume: true, onStep: spoil });
    await expect(ended).rejects.toThrow(NonFiniteError);
    await expect(ended).rejects.toThrow(/model\.generator\.bias has elements that are not finite after step 3, so the/);
    expect(await readFile(checkpoint)).toEqual(before);
  });

  it('of an update that is too large end the run at the next loss', async () => {
    const options = { ...common, clipNorm: null, schedule: constant(1e30), steps: 5 };
    const error = await fit(smallModel(device), examples, options).catch((e) => e);
    expect(error).toBeInstanceOf(NonFiniteError);
    expect(error.step).toBeLessThanOrEqual(3);
  });
});
