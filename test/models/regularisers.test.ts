import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDevice } from '../../src/core/create-device.js';
import type { Device } from '../../src/core/device.js';
import { ArgumentError } from '../../src/core/errors.js';
import { Random } from '../../src/core/random.js';
import type { Transformer } from '../../src/models/families/transformer.js';
import { headSimilarity } from '../../src/nn/regularisers.js';
import { packed } from '../../src/nn/token-batch.js';
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
      model.eval(); // does not change a pass that has begun
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

describe('rDrop', () => {
  it('is the mean of two losses plus the divergence of their predictions', async () => {
    const model = smallModel(device, { dropout: 0.3 });
    model.seedDropout(5);
    const loss = await model.loss(sources, targets, { rDrop: 2 }).item();
    model.seedDropout(5); // repeats the two passes
    const { input, labels } = model.shift(targets);
    const answers = Array.from(await labels.data());
    const passes = [await predictions(model, input), await predictions(model, input)] as const;
    let expected = 0;
    answers.forEach((label, row) => {
      const [p, q] = passes.map((pass) => pass[row] as number[]) as [number[], number[]];
      const apart = p.reduce((sum, logP, i) => {
        const logQ = q[i] as number;
        return sum + (Math.exp(logP) - Math.exp(logQ)) * (logP - logQ);
      }, 0);
      expected += (-((p[label] as number) + (q[label] as number)) / 2 + (2 / 4) * apart) / answers.length;
    });
    expect(loss).toBeCloseTo(expected, 4);
    expect(await model.loss(sources, targets).item()).not.toBeCloseTo(expected, 2);
    model.dispose();
  });

  /** ln p of every token and class. */
  async function predictions(model: Transformer, input: ReturnType<Transformer['shift']>['input']) {
    const logits = model.forward(model.batch(packed(sources)), input);
    const classes = logits.shape[1] as number;
    const values = Array.from(await logits.data());
    return Array.from({ length: values.length / classes }, (_, row) => {
      const own = values.slice(row * classes, (row + 1) * classes);
      const total = Math.log(own.reduce((sum, value) => sum + Math.exp(value), 0));
      return own.map((value) => value - total);
    });
  }

  it('changes nothing without dropout', async () => {
    const model = smallModel(device, { dropout: 0.3 });
    model.eval();
    const plain = await model.loss(sources, targets).item();
    expect(await model.loss(sources, targets, { rDrop: 2 }).item()).toBe(plain);
    model.dispose();
  });

  it('makes predictions depend less on dropout', async () => {
    const apartAfter = async (rDrop: number) => {
      const model = smallModel(device, { dropout: 0.2 });
      await fit(model, batch, { steps: 40, batchTokens: 300, seed: 2, rDrop });
      model.train();
      model.seedDropout(1);
      const both = await model.loss(sources, targets, { rDrop: 1e-9 }).item();
      model.seedDropout(1);
      const apart = (await model.loss(sources, targets, { rDrop: 4 }).item()) - both;
      model.dispose();
      return apart;
    };
    expect(await apartAfter(4)).toBeLessThan(0.8 * (await apartAfter(0)));
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

  it('makes heads different', async () => {
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

  it('refuses unsupported models', () => {
    const model = smallModel(device);
    expect(() => model.loss(sources, targets, { headDiversity: -1 })).toThrow(ArgumentError);
    model.gradientCheckpointing = true;
    expect(() => model.loss(sources, targets, { headDiversity: 1 })).toThrow(/gradientCheckpointing/);
  });
});
