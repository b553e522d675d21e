// The package that decodes images is loaded with the model: its first import blocks the event loop for 60 to 100 ms.
import { createRequire } from 'node:module';
import { sep } from 'node:path';
import { expect, it } from 'vitest';
import { createDevice, loadModel } from '../../src/index.js';
import { testData } from '../test-data.js';
import { filesOf } from './reference.js';

const { cache } = createRequire(import.meta.url);
const isLoaded = () => Object.keys(cache).some((path) => path.includes(`${sep}node_modules${sep}sharp${sep}`));

it('a model of images loads the decoder, a model without a processor does not', async () => {
  using device = await createDevice({ threads: 1 });
  const files = await filesOf(testData('reference'), 'vit-image');
  (await loadModel(device, files)).dispose();
  expect(isLoaded()).toBe(false);
  const settings = new TextEncoder().encode(JSON.stringify({ image_processor_type: 'ViTImageProcessor' }));
  (await loadModel(device, { ...files, 'preprocessor_config.json': settings })).dispose();
  expect(isLoaded()).toBe(true);
});
