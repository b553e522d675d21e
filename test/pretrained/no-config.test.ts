// A folder without config.json: the message names its files and the nearest thing that works.
import { expect, it } from 'vitest';
import { createDevice } from '../../src/index.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { withoutConfig } from '../../src/pretrained/no-config.js';

it.each<[string[], string]>([
  [['onnx/model.onnx', 'README.md'], 'ONNX files are in the folder onnx, beside a config.json in the folder above'],
  [['a/config.json', 'b.txt'], 'give the folder a, which has one'],
  [['model.safetensors'], 'model.safetensors does not say what model it is'],
  [['model_index.json', 'unet/model.safetensors'], 'it is a pipeline of diffusers'],
  [['params.json', 'consolidated.00.pth'], 'it is in the format of the first release'],
  [['tf_model.h5'], 'tf_model.h5 is not a PyTorch file'],
  [['tokenizer.json'], 'for a tokenizer alone, call loadTokenizer'],
])('%j', (names, hint) => {
  const text = withoutConfig(names);
  expect(text).toContain(`, only ${names.join(', ')}: `);
  expect(text).toContain(hint);
});

it('names some of many files, and none where they are unknown', () => {
  const names = Array.from({ length: 20 }, (_, i) => `${i}.txt`);
  expect(withoutConfig(names)).toBe(', only 0.txt, 1.txt, 2.txt, 3.txt, 4.txt, 5.txt, 6.txt, 7.txt and 12 more');
  expect(withoutConfig([])).toBe(', and no other files');
  expect(withoutConfig(null)).toBe('');
});

it('is part of the error of loadModel', async () => {
  using device = await createDevice({ threads: 1 });
  const files = { 'model.safetensors': new Uint8Array(8) };
  await expect(loadModel(device, files)).rejects.toThrow(
    /has no config\.json, only model\.safetensors: model\.safetensors does not say/,
  );
});
