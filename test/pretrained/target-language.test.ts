// Speech models with an adapter for each language: a folder in one of them is the folder whose weights are the adapter's.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { FormatError } from '../../src/index.js';
import { parseSafetensors, type SafetensorsSource, serializeSafetensors } from '../../src/io/safetensors.js';
import type { PretrainedModel } from '../../src/models/pretrained-model.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { Random } from '../random.js';
import { testData } from '../test-data.js';

const device = await deviceFor(isas.at(-1) as string, 2);
const folder = mkdtempSync(join(tmpdir(), 'language-'));
afterAll(() => rmSync(folder, { recursive: true }));
const json = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

const data = testData('families/wav2vec2-language');
const config = await data.json<Record<string, unknown>>('config.json');
const weights = await data.bytes('model.safetensors');
const tensors = Object.fromEntries(
  [...parseSafetensors(weights).tensors].map(([name, entry]): [string, SafetensorsSource] => [
    name,
    { dtype: 'F32', shape: [...entry.shape], data: entry.data() as Float32Array },
  ]),
);

/** The tensors of another language, with two letters more. */
const random = new Random('language');
const size = Number(config.vocab_size) + 2;
const adapter = Object.fromEntries(
  Object.entries(tensors)
    .filter(([name]) => /adapter_layer|lm_head/.test(name))
    .map(([name, { shape }]): [string, SafetensorsSource] => {
      const own = name.startsWith('lm_head') ? [size, ...shape.slice(1)] : [...shape];
      return [name, { dtype: 'F32', shape: own, data: random.normal(own).data }];
    }),
);
const letters = (count: number, last: string) =>
  Object.fromEntries(
    ['<pad>', '<s>', '</s>', '<unk>', '|']
      .concat(Array.from({ length: count - 5 }, (_, i) => `${last}${i}`))
      .map((token, id) => [token, id]),
  );
const files = {
  'config.json': json(config),
  'model.safetensors': weights,
  'adapter.fra.safetensors': serializeSafetensors(adapter),
  'vocab.json': json({ eng: letters(size - 2, 'e'), fra: letters(size, 'f') }),
  'tokenizer_config.json': json({ target_lang: 'eng' }),
};
const inputs = () => ({ inputValues: device.tensor(new Random('sound').normal([1, 400]).data, [1, 400]) });
const options = { onWarning: () => {} };
const logitsOf = (model: PretrainedModel) => model.forward(inputs()).logits!.dataSync().slice();

it('reads the weights and the vocabulary of a language, and saves them', async () => {
  const merged = {
    'config.json': json({ ...config, vocab_size: size }),
    'model.safetensors': serializeSafetensors({ ...tensors, ...adapter }),
  };
  const given = (await loadModel(device, files, { ...options, targetLang: 'fra' })) as unknown as PretrainedModel;
  const wanted = (await loadModel(device, merged, options)) as unknown as PretrainedModel;
  expect(logitsOf(given)).toEqual(logitsOf(wanted));
  expect(given.tokenizer?.tokenToId(`f${size - 6}`)).toBe(size - 1);
  await given.save(folder);
  const again = (await loadModel(device, folder, options)) as unknown as PretrainedModel;
  expect(logitsOf(again)).toEqual(logitsOf(wanted));
  expect(again.tokenizer?.tokenToId(`f${size - 6}`)).toBe(size - 1);
  expect(JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8')).vocab_size).toBe(size);
  for (const model of [given, wanted, again]) model.dispose();
});

it("has the folder's own language by default, and names the languages of a folder", async () => {
  const own = (await loadModel(device, files, options)) as unknown as PretrainedModel;
  const plain = { 'config.json': files['config.json'], 'model.safetensors': weights };
  const wanted = (await loadModel(device, plain, options)) as unknown as PretrainedModel;
  expect(logitsOf(own)).toEqual(logitsOf(wanted));
  expect(own.tokenizer?.tokenToId('e0')).toBe(5);
  for (const model of [own, wanted]) model.dispose();
  const other = loadModel(device, files, { ...options, targetLang: 'deu' });
  await expect(other).rejects.toThrow(FormatError);
  await expect(loadModel(device, files, { targetLang: 'deu' })).rejects.toThrow(
    'no adapter.deu.safetensors: targetLang can be fra',
  );
});
