// Sources as long as the last ones are read by a recorded program: nothing but the time may tell.

import { expect, it } from 'vitest';
import type { GenerateOptions } from '../../src/index.js';
import { device, inputs, makeModel } from './small-model.js';

const shifted = (by: number) => inputs.map((row) => row.map((token) => 3 + ((token - 3 + by) % 9)));

it.each<[string, GenerateOptions]>([
  ['greedy', {}],
  ['beams', { numBeams: 3 }],
  ['drawn', { doSample: true, seed: 5 }],
])('%s: gives the same bits after any earlier sources', async (_, options) => {
  const used = makeModel();
  for (const sources of [inputs, shifted(1), shifted(2), [[3, 4], [5], [6, 7]], shifted(3), shifted(4), shifted(4)]) {
    const fresh = makeModel();
    expect(await used.generate(sources, options)).toEqual(await fresh.generate(sources, options));
    fresh.dispose();
  }
  used.dispose();
});

it('uses the present weights, and does not change training', async () => {
  const model = makeModel({ dropout: 0.5 });
  for (let i = 0; i < 3; i++) await model.generate(shifted(i));
  expect(model.training).toBe(true);
  for (const [name, weight] of model.namedTensors())
    if (name.includes('encoder')) weight.write((await weight.data()).map((w) => 2 * w) as Float32Array);
  const fresh = makeModel().eval();
  fresh.loadStateDict(model.stateDict());
  expect(await model.generate(shifted(1))).toEqual(await fresh.generate(shifted(1)));
  for (const each of [model, fresh]) each.dispose();
});

it('refuses invalid tokens, and continues', async () => {
  const model = makeModel();
  for (let i = 0; i < 3; i++) await model.generate(inputs);
  const expected = await model.generate(inputs);
  const { used } = device.memory();
  await expect(model.generate([[5, 6, 7, 8, 1.5], ...inputs.slice(1)])).rejects.toThrow('1.5 is not a token id');
  await expect(model.generate([[5, 6, 7, 8, 12], ...inputs.slice(1)])).rejects.toThrow('12');
  expect(await model.generate(inputs)).toEqual(expected);
  expect(device.memory().used).toBe(used);
  model.dispose();
});

it('keeps memory for one length at a time', async () => {
  const model = makeModel();
  const usedFor = async (length: number) => {
    for (let i = 0; i < 3; i++) await model.generate([Array<number>(length).fill(4)], { maxNewTokens: 4 });
    return device.memory().used;
  };
  const used = await usedFor(9);
  for (const length of [3, 5, 7]) expect(await usedFor(length)).toBeLessThanOrEqual(used);
  expect(await usedFor(9)).toBe(used);
  model.dispose();
});
