// GGUF files of llama.cpp's converter for which ../shared/gguf has none: make_ggufs.py wrote them, and what transformers has for them.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { assertClose, largest } from '../tolerance.js';

const pathOf = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const { bert, t5 } = JSON.parse(readFileSync(pathOf('ggufs.json'), 'utf8'));
const device = await deviceFor(isas.at(-1) as string, 2);

it.each(['auto', 'float32'] as const)('bert: ids and hidden states, weights %s', async (weights) => {
  using model = await loadModel(device, pathOf('bert.gguf'), { weights, activations: 'float32' });
  expect(model.tokenizer!.encode(bert.text, { addSpecial: true })).toEqual(bert.ids);
  device.scope(() => {
    const hidden = model.forward({ inputIds: [bert.ids] }).lastHiddenState!.dataSync() as Float32Array;
    const expected = Float32Array.from(bert.hidden);
    assertClose('hidden', hidden, expected, () => 1e-3 * largest(expected));
  });
});

it.each(['auto', 'float32'] as const)('t5: ids and logits, weights %s', async (weights) => {
  using model = await loadModel(device, pathOf('t5.gguf'), { weights, activations: 'float32' });
  expect(model.tokenizer!.encode(t5.text, { addSpecial: true })).toEqual(t5.ids);
  device.scope(() => {
    const { logits } = model.forward({ inputIds: [t5.ids], decoderInputIds: [t5.read] });
    const expected = Float32Array.from(t5.logits);
    assertClose('logits', logits!.dataSync() as Float32Array, expected, () => 1e-3 * largest(expected));
  });
});
