// Saved GGUF files of checkpoints with other settings compute what the checkpoints do.
import { expect, it } from 'vitest';
import type { PretrainedModel } from '../../src/models/pretrained-model.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { testData } from '../test-data.js';
import { largest } from '../tolerance.js';
import { device, HALVES, logitsOf, saved } from './saved-gguf.js';

// biome-ignore lint/suspicious/noExplicitAny: a config.json
type Config = Record<string, any>;

it.each(['gemma2', 'gemma3', 'olmo2'])('%s: a saved file computes what its checkpoint does', async (name) => {
  const reference = testData(`families/${name}`);
  const given = await reference.json<Config>('config.json');
  const text = JSON.stringify({ ...given, ...(name !== 'olmo2' && { query_pre_attn_scalar: given.head_dim }) });
  const files = {
    'config.json': new TextEncoder().encode(text),
    'model.safetensors': await reference.bytes('model.safetensors'),
  };
  const { file, logits } = await saved(files);
  const again = (await loadModel(device, new Blob([file as BlobPart]), { weights: 'float32' })) as PretrainedModel;
  const difference = Math.max(...logitsOf(again).map((value, i) => Math.abs(value - logits[i]!)));
  expect(difference / largest(logits)).toBeLessThan(HALVES);
  again.dispose();
});

it('glm4: a file in which heads are rotated as a whole', async () => {
  const reference = testData('families/glm4');
  const given = await reference.json<Config>('config.json');
  const rope = { ...given.rope_parameters, partial_rotary_factor: 1 };
  const files = {
    'config.json': new TextEncoder().encode(JSON.stringify({ ...given, rope_parameters: rope })),
    'model.safetensors': await reference.bytes('model.safetensors'),
  };
  const { file, logits } = await saved(files);
  const again = (await loadModel(device, new Blob([file as BlobPart]), { weights: 'float32' })) as PretrainedModel;
  const difference = Math.max(...logitsOf(again).map((value, i) => Math.abs(value - logits[i]!)));
  expect(difference / largest(logits)).toBeLessThan(HALVES);
  again.dispose();
});
