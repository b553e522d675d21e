// CLIP in a folder of sentence-transformers, which make_clip.py wrote: vectors of texts are those that it compares.
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { loadModel } from '../../src/index.js';
import { pipeline } from '../../src/tasks/index.js';
import { deviceFor, isas } from '../describe-op.js';
import { difference, TOLERANCE } from './folders.js';

const folder = 'test/retrieval/clip';
const { texts, encode } = JSON.parse(readFileSync(`${folder}/expected.json`, 'utf8'));
const device = await deviceFor(isas.at(-1) as string, 2);

it.each([folder, `${folder}/0_CLIPModel`])('encodes texts by the model in %s', async (from) => {
  const model = await loadModel(device, from);
  expect(difference(await model.encode(texts), encode)).toBeLessThan(TOLERANCE);
  model.dispose();
});

it('gives vectors of images that are compared with those of texts', async () => {
  await using extract = await pipeline('image-feature-extraction', folder, { device });
  const image = { data: new Uint8ClampedArray(9 * 10 * 3), width: 9, height: 10, channels: 3 as const };
  expect((await extract(image)).dims).toEqual([1, encode[0].length]);
});
