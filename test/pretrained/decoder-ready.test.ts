// The package that decodes images is loaded with the model: its first import blocks the event loop for 60 to 100 ms.
import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';

// A process of its own, because other test files may have loaded the package.
const script = `
  import { createRequire } from 'node:module';
  import { createDevice, loadModel } from './src/index.js';
  import { filesOf } from './test/pretrained/reference.js';
  import { testData } from './test/test-data.js';

  const { cache } = createRequire(import.meta.url);
  const isLoaded = () => Object.keys(cache).some((path) => /node_modules.sharp./.test(path));
  const device = await createDevice({ threads: 1 });
  const files = await filesOf(testData('families'), 'vit-image');
  (await loadModel(device, files)).dispose();
  const before = isLoaded();
  const settings = new TextEncoder().encode(JSON.stringify({ image_processor_type: 'ViTImageProcessor' }));
  (await loadModel(device, { ...files, 'preprocessor_config.json': settings })).dispose();
  console.log(JSON.stringify([before, isLoaded()]));
`;

it('a model of images loads the decoder, a model without a processor does not', () => {
  const args = ['--import', 'tsx', '--input-type=module', '-e', script];
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  expect(JSON.parse(stdout || 'null'), stderr).toEqual([false, true]);
});
