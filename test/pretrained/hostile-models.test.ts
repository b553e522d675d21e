// Model files that are well formed, and lie about the model: patterns of published vulnerabilities of other programs.
import { expect, it } from 'vitest';
import { loadModel, loadTextModel, SimdformerError } from '../../src/index.js';
import { deviceFor, isas } from '../describe-op.js';
import { smallModel } from '../tasks/small-model.js';
import { testData } from '../test-data.js';

const device = await deviceFor(isas[0] as string, 2);
const file = await testData('gguf').bytes('qwen2.Q8_0.gguf');

/** The file with another value of a uint32 entry. */
function lying(key: string, value: number): Uint8Array<ArrayBuffer> {
  const copy = Uint8Array.from(file);
  const at = Buffer.from(copy).indexOf(key) + key.length;
  const view = new DataView(copy.buffer);
  expect(view.getUint32(at, true), key).toBe(4); // its type is uint32
  view.setUint32(at + 4, value, true);
  return copy;
}

it.each([
  ['no layers (CVE-2024-8063)', 'qwen2.block_count', 0],
  ['more layers than it has', 'qwen2.block_count', 2 ** 31],
  ['no heads, by which widths are divided', 'qwen2.attention.head_count', 0],
  ['no heads of keys', 'qwen2.attention.head_count_kv', 0],
  ['more heads than features', 'qwen2.attention.head_count', 2 ** 32 - 1],
  ['no features', 'qwen2.embedding_length', 0],
  ['features that wrap as a product', 'qwen2.embedding_length', 2 ** 31],
  ['a context of 0 tokens', 'qwen2.context_length', 0],
])('refuses %s', async (_, key, value) => {
  const before = device.memory().used;
  await expect(loadModel(device, { 'model.gguf': lying(key, value) })).rejects.toThrow(SimdformerError);
  expect(device.memory().used).toBe(before);
});

it('refuses a config.json with more layers than memory could hold', async () => {
  const files = smallModel('bert-mlm', { num_hidden_layers: 2 ** 31 - 1 });
  await expect(loadModel(device, files)).rejects.toThrow('expected a positive integer up to 10000');
});

it('runs no code of a chat template (CVE-2024-34359)', async () => {
  using model = await loadTextModel(device, { 'model.gguf': Uint8Array.from(file) });
  const { tokenizer } = model;
  const globals = Object.keys(globalThis).length;
  for (const expression of [
    "''.constructor.constructor('return process')()",
    "messages['constructor']['constructor']('globalThis.broken = 1')()",
    "''.__class__.__mro__[1].__subclasses__()",
    "(messages | attr('constructor')).constructor('globalThis.broken = 1')()",
    "[].map.constructor('globalThis.broken = 1')()",
    "cycler.__init__.__globals__.os.popen('id').read()",
    "raise_exception.constructor('globalThis.broken = 1')()",
  ]) {
    tokenizer.chatTemplate = `{{ ${expression} }}`;
    const rendered = (async () => tokenizer.applyChatTemplate([{ role: 'user', content: 'a' }]))();
    await expect(rendered, expression).rejects.toThrow(SimdformerError);
  }
  expect(globalThis).not.toHaveProperty('broken');
  expect(Object.keys(globalThis).length).toBe(globals);
});
