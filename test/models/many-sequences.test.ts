import { expect, it } from 'vitest';
import { deviceFor } from '../describe-op.js';
import { best, build } from './small-models.js';

it('accepts more sequences than a function can have arguments', async () => {
  const model = build(await deviceFor(best, 2), { encoderLayers: 0, dModel: 4, heads: 1, dFF: 1, decoderLayers: 1 });
  const count = 150_000;
  const { logProbabilities } = await model.score(null, Array<number[]>(count).fill([1, 2]));
  expect(logProbabilities.length).toBe(count);
  expect(logProbabilities.at(-1)).toEqual(logProbabilities[0]);
  model.dispose();
});
