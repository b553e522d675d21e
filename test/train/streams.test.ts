// Examples that are read as they are needed, and objectives of any kind of them.
import { describe, expect, it } from 'vitest';
import { ArgumentError, type Device, fit } from '../../src/index.js';
import { Initializer, Linear, Module } from '../../src/nn/index.js';
import { mseLoss } from '../../src/ops/index.js';
import { constant, type Objective, SGD, streamBatches } from '../../src/train/index.js';
import { deviceFor, isas } from '../describe-op.js';

interface Point {
  readonly x: number;
  readonly y: number;
}

/** A line through points. */
class Line extends Module implements Objective<Point> {
  readonly linear: Linear;
  seen: number[] = [];

  constructor(readonly device: Device) {
    super();
    this.linear = new Linear(new Initializer(device, 0), 1, 1);
  }

  lossOf(points: readonly Point[]) {
    this.seen.push(...points.map(({ x }) => x));
    const x = this.device.tensor(points.map(({ x }) => [x]));
    return mseLoss(this.linear.forward(x), this.device.tensor(points.map(({ y }) => [y])));
  }

  tokensOf({ x }: Point) {
    return 1 + (x % 3);
  }
}

const device = await deviceFor(isas[0]!, 2);
const points = Array.from({ length: 23 }, (_, x) => ({ x: x / 10, y: x / 5 - 1 }));
const streams = {
  array: () => points,
  set: () => new Set(points),
  function: () => () => points,
  async: () =>
    async function* () {
      yield* points;
    },
};

async function train(data: ReturnType<(typeof streams)[keyof typeof streams]>, options = {}) {
  const model = new Line(device);
  using optimizer = new SGD(model.parameters());
  const schedule = constant(0.1);
  const result = await fit<Point>(model, data, { batchSize: 4, optimizer, schedule, seed: 3, ...options });
  const weights = await Promise.all(model.parameters().map((tensor) => tensor.data()));
  model.dispose();
  return { ...result, seen: model.seen, weights };
}

describe('streams', () => {
  it.each(Object.entries(streams))('%s: each epoch has every example once, in an order of its own', async (_, make) => {
    const { seen, step, losses } = await train(make(), { epochs: 3, shuffleBuffer: 7 });
    expect(step).toBe(18);
    const epochs = [0, 1, 2].map((n) => seen.slice(23 * n, 23 * (n + 1)));
    for (const epoch of epochs) expect([...epoch].sort((a, b) => a - b)).toEqual(points.map(({ x }) => x));
    expect(epochs[0]).not.toEqual(epochs[1]);
    const sum = (part: readonly number[]) => part.reduce((total, loss) => total + loss, 0);
    expect(sum(losses.slice(-6))).toBeLessThan(sum(losses.slice(0, 6)));
  });

  it('of one seed give the same bits', async () => {
    const runs = [await train(streams.async(), { steps: 9 }), await train(streams.function(), { steps: 9 })];
    expect(runs[0]!.losses).toEqual(runs[1]!.losses);
    expect(runs[0]!.weights).toEqual(runs[1]!.weights);
  });

  it('hold at most their buffer, and can go back to any batch', async () => {
    let [read, drawn, most] = [0, 0, 0];
    const batches = streamBatches<Point>(
      function* () {
        for (const point of points) {
          most = Math.max(most, ++read - drawn);
          yield point;
        }
      },
      { size: 2, buffer: 5, seed: 1 },
    );
    const first = [];
    for (let n = 0; n < 12; n++) {
      const batch = await batches.batch(n);
      drawn += batch.length;
      first.push(batch);
    }
    expect(most).toBeLessThanOrEqual(6);
    expect(await batches.count()).toBe(12);
    for (const n of [7, 3, 11]) expect(await batches.batch(n)).toEqual(first[n]);
    expect(await batches.batch(12)).not.toEqual(first[0]);
    await batches.close();
  });

  it('pack examples of similar length into the allowed number of tokens', async () => {
    const lengths = [5, 1, 3, 9, 2, 8, 4, 7, 6, 1];
    const batches = streamBatches(lengths, { tokens: 10, tokensOf: (length) => length, seed: 2 });
    const all = [];
    for (let n = 0; n < (await batches.count()); n++) all.push(await batches.batch(n));
    expect(all.flat().sort((a, b) => a - b)).toEqual([...lengths].sort((a, b) => a - b));
    for (const batch of all) expect(batch.reduce((sum, length) => sum + length, 0)).toBeLessThanOrEqual(10);
    await expect(streamBatches([11], { tokens: 10, tokensOf: (length) => length }).batch(0)).rejects.toThrow(
      ArgumentError,
    );
  });

  it('that can be read only once are refused in the second epoch, with a remedy', async () => {
    const once = () =>
      (function* () {
        yield* points;
      })() as never;
    expect((await train(once(), { steps: 6 })).step).toBe(6);
    await expect(train(once(), { steps: 8 })).rejects.toThrow(/give a function/);
    await expect(train(once(), { epochs: 1 })).rejects.toThrow(/give a function/);
  });
});
