// Saved GGUF files of checkpoints with other settings compute what the checkpoints do.
import { expect, it } from 'vitest';
import type { PretrainedModel } from '../../src/models/pretrained-model.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { testData } from '../test-data.js';
import { largest } from '../tolerance.js';
import { ggufSaver, HALVES, logitsOf } from './saved-gguf.js';

const { device, saved } = await ggufSaver();

// biome-ignore lint/suspicious/noExplicitAny: a config.json
type Config = Record<string, any>;

/** Saves the model of these files, and compares what the saved file computes. */
async function expectSame(files: Record<string, Uint8Array>): Promise<void> {
  const { file, logits } = await saved(files);
  const again = (await loadModel(device, new Blob([file as BlobPart]), { weights: 'float32' })) as PretrainedModel;
  const difference = Math.max(...logitsOf(again).map((value, i) => Math.abs(value - logits[i]!)));
  expect(difference / largest(logits)).toBeLessThan(HALVES);
  again.dispose();
}

it.each(['gemma2', 'gemma3', 'olmo2', 'qwen3-5-moe'])(
  '%s: a saved file computes what its checkpoint does',
  async (name) => {
    const reference = testData(`families/${name}`);
    const given = await reference.json<Config>('config.json');
    const text = JSON.stringify({
      ...given,
      ...(name.startsWith('gemma') && { query_pre_attn_scalar: given.head_dim }),
    });
    const files = {
      'config.json': new TextEncoder().encode(text),
      'model.safetensors': await reference.bytes('model.safetensors'),
    };
    await expectSame(files);
  },
);

it('glm4: a file in which heads are rotated as a whole', async () => {
  const reference = testData('families/glm4');
  const given = await reference.json<Config>('config.json');
  const rope = { ...given.rope_parameters, partial_rotary_factor: 1 };
  const files = {
    'config.json': new TextEncoder().encode(JSON.stringify({ ...given, rope_parameters: rope })),
    'model.safetensors': await reference.bytes('model.safetensors'),
  };
  await expectSame(files);
});
