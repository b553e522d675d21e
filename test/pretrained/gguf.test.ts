// GGUF files, unpacked: ids as llama.cpp's, logits as transformers' of the dequantized file. gguf-packed.test.ts has those that stay packed.
import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseSafetensors } from '../../src/io/safetensors.js';
import { type LoadedModel, loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { type TestData, testData } from '../test-data.js';
import { assertClose, largest } from '../tolerance.js';

interface Prompts {
  readonly prompts: readonly { text: string; ids: number[] }[];
}

const device = await deviceFor(isas.at(-1) as string, 2);

/** Relative to the largest logit. */
const LOGITS = 1e-4;

async function load(data: TestData, name: string): Promise<LoadedModel> {
  const warnings: string[] = [];
  const blob = new Blob([(await data.bytes(name)) as Uint8Array<ArrayBuffer>]);
  const model = await loadModel(device, blob, { weights: 'float32', onWarning: (message) => warnings.push(message) });
  expect(warnings).toEqual([]);
  return model;
}

/** A file's name without its ending: architecture and type. */
const namesOf = ({ path }: TestData) =>
  readdirSync(path).flatMap((file) => (file.endsWith('.gguf') ? file.slice(0, -'.gguf'.length) : []));

describe('GGUF files of small models', () => {
  const data = testData('gguf');
  for (const name of namesOf(data)) {
    it(`${name}: ids and logits`, async () => {
      using model = await load(data, `${name}.gguf`);
      const { prompts } = await data.json<Prompts>(`${name.split('.')[0]}.json`);
      const { tensors } = parseSafetensors(await data.bytes(`${name}.safetensors`));
      for (const [i, { text, ids }] of prompts.entries()) {
        expect(model.tokenizer!.encode(text, { addSpecial: true })).toEqual(ids);
        const expected = tensors.get(`logits.${i}`)!.data() as Float32Array;
        const got = (await model.forward({ inputIds: [ids] }).logits!.data()) as Float32Array;
        const bound = LOGITS * largest(expected);
        assertClose(`${name} logits.${i}`, got, expected, () => bound);
      }
    });
  }
});

describe('tinystories-656k', () => {
  const data = testData('checkpoints/tinystories-656k');
  for (const type of ['BF16', 'Q8_0', 'Q4_0', 'Q4_1', 'Q5_0', 'Q5_1']) {
    it(`reads ${type} with the values of safetensors, within its precision`, async () => {
      const names = ['config.json', 'model.safetensors'];
      const files = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await data.bytes(name)])));
      using plain = await loadModel(device, files);
      using model = await load(data, `tinystories-656k-${type}.gguf`);
      const expected = plain.stateDict();
      expect(Object.keys(model.stateDict()).sort()).toEqual(Object.keys(expected).sort());
      const bits = { BF16: 8, Q8_0: 6, Q5_1: 4, Q5_0: 3, Q4_1: 3, Q4_0: 2 }[type] as number;
      for (const [name, entry] of Object.entries(model.stateDict())) {
        const values = (expected[name] as typeof entry).dataSync();
        const bound = largest(values) * 2 ** -bits;
        assertClose(name, entry.dataSync(), values, () => bound);
      }
    });
  }
});
