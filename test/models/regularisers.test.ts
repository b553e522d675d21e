import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDevice } from '../../src/core/create-device.js';
import type { Device } from '../../src/core/device.js';
import { ArgumentError } from '../../src/core/errors.js';
import { Random } from '../../src/core/random.js';
import type { Transformer } from '../../src/models/transformer.js';
import { headSimilarity } from '../../src/nn/diversity.js';
import { fit } from '../../src/train/fit.js';
import { reversals, smallModel } from '../train/task.js';

let device: Device;
beforeAll(async () => {
  device = await createDevice({ threads: 2 });
});
afterAll(() => device.dispose());

const batch = reversals(60);
const sources = batch.map(({ source }) => source as number[]);
const targets = batch.map(({ target }) => target);

describe('gradientCheckpointing', () => {
  it('changes no bit of the loss or the gradients, with dropout, in less memory', async () => {
    const run = async (gradientCheckpointing: boolean) => {
      const model = smallModel(device, { encoderLayers: 3, decoderLayers: 3, dropout: 0.2 });
      for (const parameter of model.parameters()) parameter.requiresGrad = true;
      model.gradientCheckpointing = gradientCheckpointing;
      device.resetPeak();
      const before = device.memory().used;
      const [first, second] = device.scope(() => [model.loss(sources, targets), model.loss(sources, targets)]);
      second?.backward();
      first?.backward(); // after another pass has drawn other numbers
      const losses = [await first?.item(), await second?.item()];
      const peak = device.memory().peak - before;
      const gradients = await Promise.all(model.parameters().map((parameter) => parameter.grad?.data()));
      model.dispose();
      return { losses, gradients, peak };
    };
    const plain = await run(false);
    const forgetful = await run(true);
    expect(forgetful.losses).toEqual(plain.losses);
    expect(forgetful.gradients).toEqual(plain.gradients);
    expect(forgetful.peak).toBeLessThan(0.6 * plain.peak);
  });
});

describe('headDiversity', () => {
  it('is the mean cosine of all pairs of heads', async () => {
    const random = new Random(4);
    const [rows, heads, width] = [5, 3, 4];
    const values = Float32Array.from({ length: rows * heads * width }, () => random.normal());
    const head = (row: number, h: number) =>
      Array.from(values.subarray((row * heads + h) * width, (row * heads + h + 1) * width));
    const dot = (a: number[], b: number[]) => a.reduce((sum, x, i) => sum + x * (b[i] as number), 0);
    let expected = 0;
    for (let row = 0; row < rows; row++) {
      for (let a = 0; a < heads; a++) {
        for (let b = 0; b < heads; b++) {
          const [u, v] = [head(row, a), head(row, b)];
          expected += dot(u, v) / Math.sqrt(dot(u, u) * dot(v, v)) / (rows * heads * heads);
        }
      }
    }
    const similarity = headSimilarity(device.tensor(values, [rows, heads * width]), heads);
    expect(await similarity.item()).toBeCloseTo(expected, 5);
  });

  it('makes heads differ', async () => {
    const similarityAfter = async (headDiversity: number) => {
      const model: Transformer = smallModel(device);
      const options = { steps: 40, batchTokens: 300, seed: 2 };
      await fit(model, batch, { ...options, headDiversity });
      model.eval();
      const plain = await model.loss(sources, targets).item();
      return (await model.loss(sources, targets, { headDiversity: 1 }).item()) - plain;
    };
    expect(await similarityAfter(1)).toBeLessThan((await similarityAfter(0)) - 0.01);
  });

  it('refuses what it cannot do', () => {
    const model = smallModel(device);
    expect(() => model.loss(sources, targets, { headDiversity: -1 })).toThrow(ArgumentError);
    model.gradientCheckpointing = true;
    expect(() => model.loss(sources, targets, { headDiversity: 1 })).toThrow(/gradientCheckpointing/);
  });
});
