// Steps of several batches, between which others have their turn.

import { afterAll, beforeAll, expect, it } from 'vitest';
import {
  ArgumentError,
  CommandError,
  createDevice,
  type Device,
  type FitOptions,
  fit,
  type Transformer,
} from '../../src/index.js';
import type { LossOptions, TokenRows } from '../../src/models/targets.js';
import { embedding } from '../../src/ops/index.js';
import { SGD } from '../../src/train/index.js';
import { computedIds } from '../computed-ids.js';
import { common, reversals, smallModel, weights } from './task.js';

let device: Device;
const examples = reversals(100);
const batchesWith = (bad: number) => ({
  perEpoch: 8,
  batch: (n: number) => (n === bad ? [{ source: [3], target: [1, 99, 2] }] : examples.slice(n % 8, (n % 8) + 4)),
});
const options: FitOptions = { ...common, gradientAccumulation: 4 };

beforeAll(async () => {
  device = await createDevice({ threads: 2 });
});

afterAll(() => device.dispose());

/** Same, but the host cannot see the problem: the batch fails only when it runs. */
function failingInRun(model: Transformer): Transformer {
  const loss = model.lossInParts.bind(model);
  return Object.assign(model, {
    lossInParts(source: TokenRows, target: TokenRows, settings: LossOptions) {
      const rows = target.map((row) => Array.from(row, (id) => (id === 99 ? 3 : id)));
      if (target.flatMap((row) => [...row]).includes(99)) embedding(device.zeros([4, 2]), computedIds(device, 9));
      return loss(source, rows, settings);
    },
  });
}

it.each([
  ['is wrong', ArgumentError, (model: Transformer) => model],
  ['fails when it runs', CommandError, failingInRun],
])('fails only the run whose batch %s, without changing its weights', async (_, Kind, prepare) => {
  const [good, bad] = [smallModel(device), prepare(smallModel(device))];
  const before = await weights(bad);
  let ended = false;
  const poll = async () => {
    while (!ended) expect(await device.tensor([1]).item()).toBe(1);
  };
  const polling = poll();
  const [first, second] = await Promise.allSettled([
    fit(good, batchesWith(-1), { ...options, steps: 4 }),
    fit(bad, batchesWith(1), { ...options, steps: 4 }),
  ]);
  ended = true;
  await polling;
  expect(first.status).toBe('fulfilled');
  expect(second).toMatchObject({ status: 'rejected', reason: expect.any(Kind) });
  expect(await weights(bad)).toEqual(before);
  for (const wrong of [0, 2, 3]) {
    await expect(fit(bad, batchesWith(wrong), { ...options, steps: 4 })).rejects.toThrow(Kind);
    expect(await weights(bad), `batch ${wrong} of 4`).toEqual(before);
  }
  await expect(fit(bad, batchesWith(0), { ...options, steps: 4, gradientAccumulation: 2 })).rejects.toThrow(Kind);
  expect(await weights(bad)).toEqual(before);
  expect(bad.parameters().some(({ grad }) => grad !== null)).toBe(false);
});

it('does nothing more once it has failed', async () => {
  const model = smallModel(device);
  const optimizer = new SGD(model.parameters(), { lr: 0.1 });
  const onStep = () => {
    expect(model.parameters().every(({ grad }) => grad === null)).toBe(true);
    throw new Error('of the user');
  };
  await expect(fit(model, batchesWith(-1), { ...options, steps: 4, optimizer, onStep })).rejects.toThrow('of the user');
  const after = await weights(model);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(await weights(model)).toEqual(after);
  expect(model.parameters().every(({ grad }) => grad === null)).toBe(true);
  optimizer.dispose();
});

it('uses the options and examples at the time of the call', async () => {
  const [given, data] = [{ ...common, steps: 2 }, [...examples]];
  const training = fit(smallModel(device), data, given);
  given.steps = 7;
  data.length = 0;
  expect((await training).step).toBe(2);
});
