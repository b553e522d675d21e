import { describe, expect, it } from 'vitest';
import type { Tensor, Transformer } from '../../src/index.js';
import type { FeedForward } from '../../src/nn/index.js';
import { deviceFor } from '../describe-op.js';
import { best, build, lossOf, sources, targets } from './small-models.js';

describe('dropout', () => {
  const options = { dropout: 0.3, positions: 'sinusoidal' } as const;
  const lossAt = (model: Transformer) => lossOf(model).dataSync()[0]!;

  it('is on only in training mode, and drawn again in each pass', async () => {
    const device = await deviceFor(best, 2);
    const model = build(device, options);
    const plain = build(device, { dropout: 0 });
    expect(lossAt(model)).not.toBe(lossAt(model));
    model.eval();
    expect(lossAt(model)).toBe(lossAt(plain));
    model.train();
    expect(lossAt(model)).not.toBe(lossAt(plain));
  });

  it('is off in inference for any mode of the parts, and does not change these modes', async () => {
    const device = await deviceFor(best, 2);
    const model = build(device, options);
    const { encoder } = model.transformer;
    const scores = () => model.score(sources, targets);
    const expected = await scores();
    model.eval();
    model.transformer.train();
    expect(await scores()).toEqual(expected);
    model.train();
    encoder!.eval();
    await model.generate(sources, { maxNewTokens: 2 });
    const modes = [model, encoder!, model.transformer.decoder!].map(({ training }) => training);
    expect(modes).toEqual([true, false, true]);
  });

  it('is equal for equal seeds, with any number of threads', async () => {
    const losses = [1, 2, 3].map(async (threads) => {
      const model = build(await deviceFor(best, threads), options);
      return [lossAt(model), lossAt(model)];
    });
    const [first, ...others] = await Promise.all(losses);
    for (const other of others) expect(other).toEqual(first);
    const model = build(await deviceFor(best, 2), options);
    model.seedDropout(77);
    const one = lossAt(model);
    expect(lossAt(model)).not.toBe(one);
    model.seedDropout(77);
    expect(lossAt(model)).toBe(one);
  });

  it('can be drawn again for each run of a program', async () => {
    const device = await deviceFor(best, 2);
    const model = build(device, options);
    const [batch, shifted] = [model.batch(sources), model.shift(targets)];
    const program = device.record(() => model.loss(batch, shifted));
    expect(program.scalars).toEqual(['dropoutSeed']);
    const at = (dropoutSeed: number) => program.run({ dropoutSeed }).dataSync()[0]!;
    const [one, two] = [at(1), at(2)];
    expect(one).not.toBe(two);
    expect(at(1)).toBe(one);
    const unnamed = Array.from({ length: 3 }, () => program.run().dataSync()[0]!);
    expect(new Set(unnamed).size).toBe(3);
    const pair = device.record(() => [model.loss(batch, shifted), model.loss(batch, shifted)] as const).run();
    expect(pair[0].dataSync()).not.toEqual(pair[1].dataSync());
  });

  it('is the same in a backward pass recorded in another program, in the order of eager passes', async () => {
    const device = await deviceFor(best, 2);
    for (const gradientCheckpointing of [false, true]) {
      const model = build(device, options);
      model.gradientCheckpointing = gradientCheckpointing;
      const [batch, shifted] = [model.batch(sources), model.shift(targets)];
      const weight = (model.transformer.encoder!.layers[0]!.feedForward as FeedForward).linear2.weight as Tensor;
      const losses = () => [model.loss(batch, shifted, { rDrop: 1 }), model.loss(batch, shifted)];
      model.seedDropout(5);
      const eager = losses();
      for (const loss of eager) loss.backward();
      const expected = weight.grad!.dataSync();
      weight.zeroGrad();
      const forward = device.record(losses);
      const backward = device.record(() => {
        for (const loss of forward.result) loss.backward();
      });
      model.seedDropout(5);
      forward.run();
      backward.run();
      expect(forward.result.map((loss) => loss.dataSync())).toEqual(eager.map((loss) => loss.dataSync()));
      expect(weight.grad!.dataSync()).toEqual(expected);
    }
  });

  it('is drawn only by runs: recording a program in between changes nothing', async () => {
    const device = await deviceFor(best, 2);
    const lossesOf = (model: Transformer) => [1, 2, 3].map(() => lossAt(model));
    const [model, other] = [build(device, options), build(device, options)];
    const before = lossAt(other);
    const program = device.record(() => lossOf(other));
    expect([before, program.run().dataSync()[0], lossAt(other)]).toEqual(lossesOf(model));
  });

  it('is drawn again in each pass if only a part is in training mode', async () => {
    const model = build(await deviceFor(best, 2), options).eval();
    model.transformer.decoder!.train();
    expect(lossAt(model)).not.toBe(lossAt(model));
  });

  it('of hidden features has its own probability', async () => {
    const device = await deviceFor(best, 2);
    const plain = lossAt(build(device, { dropout: 0 }));
    const hidden = build(device, { dropout: 0, activationDropout: 0.3 });
    expect(lossAt(hidden)).not.toBe(plain);
    for (const activationDropout of [0, 0.3]) {
      const model = build(device, { dropout: 0.3, activationDropout });
      const feedForward = model.transformer.encoder!.layers[0]!.feedForward as FeedForward;
      expect(feedForward.dropout?.options?.p).toBe(activationDropout || undefined);
      expect(model.dropout.options?.p).toBe(0.3);
    }
    expect(build(device, { dropout: 0.3 }).config.activationDropout).toBe(0.3);
  });

  it('is the same in backward', async () => {
    const model = build(await deviceFor(best, 2), options);
    const passAt = () => {
      model.seedDropout(9);
      return lossOf(model);
    };
    passAt().backward();
    const weight = (model.transformer.encoder!.layers[0]!.feedForward as FeedForward).linear2.weight as Tensor;
    const gradient = weight.grad!.dataSync();
    const before = weight.dataSync();
    const length = norm(gradient);
    const at = (step: number) => {
      weight.write(Float32Array.from(before, (x, i) => x + (step * gradient[i]!) / length));
      return passAt().dataSync()[0]!;
    };
    const slope = (at(2 ** -6) - at(-(2 ** -6))) * 2 ** 5;
    expect(Math.abs(slope - length)).toBeLessThan(0.01 * length);
  });
});

function norm(values: ArrayLike<number>): number {
  return Math.hypot(...Array.from(values));
}
