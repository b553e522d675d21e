// GGUF files of llama.cpp's converter for which test/data/gguf has none: make_ggufs.py wrote them, and what transformers has for them.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { assertClose, largest } from '../tolerance.js';

const pathOf = (name: string) => fileURLToPath(new URL(name, import.meta.url));
const {
  bert,
  nomic,
  t5,
  t5encoder,
  gemma_embedding: gemma,
  phi3,
  umt5,
} = JSON.parse(readFileSync(pathOf('ggufs.json'), 'utf8'));
const device = await deviceFor(isas.at(-1) as string, 2);

const encoders = { 'bert.gguf': bert, 'nomic.gguf': nomic, 'gemma-embedding.gguf': gemma }; // pooled as BGE's, and by means

it.each(Object.keys(encoders).flatMap((name) => [[name, 'auto'] as const, [name, 'float32'] as const]))(
  '%s: ids, hidden states and the vector of the sentence, weights %s',
  async (name, weights) => {
    const { text, ids, ...truth } = encoders[name as keyof typeof encoders];
    using model = await loadModel(device, pathOf(name), { weights, activations: 'float32' });
    expect(model.tokenizer!.encode(text, { addSpecial: true })).toEqual(ids);
    device.scope(() => {
      const { lastHiddenState, sentenceEmbedding } = model.forward({ inputIds: [ids] });
      for (const [output, values] of [[lastHiddenState, truth.hidden] as const, [sentenceEmbedding, truth.sentence]]) {
        const expected = Float32Array.from(values);
        assertClose(name, output!.dataSync() as Float32Array, expected, () => 1e-3 * largest(expected));
      }
    });
  },
);

it('a folder of EmbeddingGemma has its projections', async () => {
  using model = await loadModel(device, pathOf('gemma-embedding.gguf'), { weights: 'float32' });
  const folder = mkdtempSync(join(tmpdir(), 'converted-'));
  try {
    await model.save(folder);
    using again = await loadModel(device, folder);
    const vector = (each: typeof model) =>
      device.scope(() => each.forward({ inputIds: [gemma.ids] }).sentenceEmbedding!.dataSync());
    expect(vector(again)).toEqual(vector(model));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

it.each([
  ['t5', 'auto'],
  ['t5', 'float32'],
  ['umt5', 'auto'],
  ['umt5', 'float32'],
] as const)('%s: ids and logits, weights %s', async (name, weights) => {
  using model = await loadModel(device, pathOf(`${name}.gguf`), { weights, activations: 'float32' });
  const { text, ids, read, logits: given } = { t5, umt5 }[name];
  expect(model.config.model_type).toBe(name);
  expect(model.tokenizer!.encode(text, { addSpecial: true })).toEqual(ids);
  device.scope(() => {
    const { logits } = model.forward({ inputIds: [ids], decoderInputIds: [read] });
    const expected = Float32Array.from(given);
    assertClose('logits', logits!.dataSync() as Float32Array, expected, () => 1e-3 * largest(expected));
  });
});

it.each(['auto', 'float32'] as const)(
  'phi3: ids and logits of a text that outgrew its training, weights %s',
  async (weights) => {
    using model = await loadModel(device, pathOf('phi3.gguf'), { weights, activations: 'float32' });
    expect(model.config.sliding_window).toBe(null);
    expect(model.tokenizer!.encode(phi3.text, { addSpecial: true })).toEqual(phi3.ids);
    device.scope(() => {
      const expected = Float32Array.from(phi3.logits);
      const { logits } = model.forward({ inputIds: [phi3.ids] });
      assertClose('logits', logits!.dataSync() as Float32Array, expected, () => 1e-3 * largest(expected));
    });
  },
);

it.each(['auto', 'float32'] as const)('t5encoder: ids and hidden states, weights %s', async (weights) => {
  using model = await loadModel(device, pathOf('t5encoder.gguf'), { weights, activations: 'float32' });
  expect(model.headKind).toBe('none');
  expect(model.tokenizer!.encode(t5encoder.text, { addSpecial: true })).toEqual(t5encoder.ids);
  device.scope(() => {
    const { lastHiddenState } = model.forward({ inputIds: [t5encoder.ids] });
    const expected = Float32Array.from(t5encoder.hidden);
    assertClose('hidden', lastHiddenState!.dataSync() as Float32Array, expected, () => 1e-3 * largest(expected));
  });
});
