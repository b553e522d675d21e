// T5 and UMT5 saved as GGUF files: a model that is loaded again is the one that was saved.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { parseGguf } from '../../src/io/gguf.js';
import { parseSafetensors } from '../../src/io/safetensors.js';
import type { PretrainedModel } from '../../src/models/pretrained-model.js';
import { saveGguf } from '../../src/pretrained/index.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';
import { assertClose, largest } from '../tolerance.js';
import { filesOf } from './reference.js';

const device = await deviceFor(isas.at(-1) as string, 2);
const folder = mkdtempSync(join(tmpdir(), 'save-t5-'));
afterAll(() => rmSync(folder, { recursive: true }));
const path = join(folder, 'model.gguf');
const logitsOf = (model: PretrainedModel) =>
  model.forward({ inputIds: [[3, 4, 5, 1]], decoderInputIds: [[0, 7, 8]] }).logits!.dataSync() as Float32Array;

it.each(['t5', 'umt5'])("%s: the tensors, settings and vocabulary of llama.cpp's file", async (name) => {
  const file = fileURLToPath(new URL(`${name}.gguf`, import.meta.url));
  using model = await loadModel(device, file, { weights: 'float32' });
  await saveGguf(model, path);
  const [theirs, ours] = [file, path].map((each) => parseGguf(readFileSync(each)));
  const shapes = (gguf = theirs!) => Object.fromEntries([...gguf.tensors].map(([name, { shape }]) => [name, shape]));
  expect(shapes(ours)).toEqual(shapes());
  const settings = [...theirs!.metadata].filter(([key]) => key.startsWith('t5.') && key !== 't5.vocab_size');
  for (const [key, value] of settings) expect(ours!.metadata.get(key), key).toEqual(value);
  using again = await loadModel(device, path, { weights: 'float32' });
  expect(again.config).toEqual(model.config);
  const text = 'the woman walks her dogs';
  expect(again.tokenizer!.encode(text, { addSpecial: true })).toEqual(
    model.tokenizer!.encode(text, { addSpecial: true }),
  );
  expect(logitsOf(again)).toEqual(logitsOf(model)); // float16 holds all weights
});

it.each(['t5', 'umt5'])("%s: the vocabulary of llama.cpp's file, from a folder of Hugging Face", async (name) => {
  const file = fileURLToPath(new URL(`${name}.gguf`, import.meta.url));
  using first = await loadModel(device, file, { weights: 'float32' });
  const saved = join(folder, name);
  await first.save(saved);
  using model = await loadModel(device, saved);
  await saveGguf(model, path);
  const [theirs, ours] = [file, path].map((each) => parseGguf(readFileSync(each)).metadata);
  const vocabulary = [...theirs!].filter(([key]) => key.startsWith('tokenizer.ggml.') && !/token_type$/.test(key));
  const shown = (value: unknown) =>
    typeof value === 'object' ? Array.from(value as Iterable<unknown>).slice(0, model.tokenizer!.vocabSize) : value;
  for (const [key, value] of vocabulary) expect(shown(ours!.get(key)), key).toEqual(shown(value));
  using again = await loadModel(device, path, { weights: 'float32' });
  for (const text of ['the woman walks her dogs', '  three   dogs ', 'in the park</s>'])
    expect(again.tokenizer!.encode(text, { addSpecial: true })).toEqual(
      first.tokenizer!.encode(text, { addSpecial: true }),
    );
});

it('a network without gates, and distances that llama.cpp does not have', async () => {
  const files = await filesOf(testData('families'), 't5');
  const config = JSON.parse(new TextDecoder().decode(files['config.json'])) as Record<string, unknown>;
  using near = await loadModel(device, files);
  await expect(saveGguf(near, path)).rejects.toThrow('relative_attention_max_distance is');
  const changed = JSON.stringify({ ...config, relative_attention_max_distance: 128 });
  using model = await loadModel(device, { ...files, 'config.json': new TextEncoder().encode(changed) });
  await saveGguf(model, path);
  using again = await loadModel(device, path, { weights: 'float32' });
  const expected = logitsOf(model);
  assertClose('logits', logitsOf(again), expected, () => 5e-3 * largest(expected));
});

it('T5Gemma 2, which reads text alone, is saved with its image encoder, and so is what is saved again', async () => {
  const files = await filesOf(testData('families'), 't5gemma2');
  const before = parseSafetensors(files['model.safetensors']!).tensors;
  expect([...before.keys()].some((name) => name.includes('vision_tower'))).toBe(true);
  using model = await loadModel(device, files);
  const first = join(folder, 't5gemma2');
  await model.save(first);
  using again = await loadModel(device, first);
  await again.save(first); // into its own folder
  const after = parseSafetensors(readFileSync(join(first, 'model.safetensors'))).tensors;
  expect([...after.keys()].sort()).toEqual([...before.keys()].sort());
  for (const [name, entry] of before) expect(after.get(name)!.data(), name).toEqual(entry.data());
});
