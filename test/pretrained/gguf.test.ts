// GGUF files, unpacked: ids as llama.cpp's, logits as transformers' of the dequantized file. gguf-packed.test.ts has those that stay packed.
import { expect, it } from 'vitest';
import { parseSafetensors } from '../../src/io/safetensors.js';
import type { LoadedModel } from '../../src/pretrained/load-model.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { describeShared, type SharedFolder } from '../shared.js';
import { assertClose, largest } from '../tolerance.js';

interface Prompts {
  readonly prompts: readonly { text: string; ids: number[] }[];
}

const device = await deviceFor(isas.at(-1) as string, 2);

/** Of the largest logit. */
const LOGITS = 1e-4;

async function load(shared: SharedFolder, name: string): Promise<LoadedModel> {
  const warnings: string[] = [];
  const blob = new Blob([(await shared.bytes(name)) as Uint8Array<ArrayBuffer>]);
  const model = await loadModel(device, blob, { weights: 'float32', onWarning: (message) => warnings.push(message) });
  expect(warnings).toEqual([]);
  return model;
}

await describeShared('GGUF files of small models', 'gguf', 'SOURCE.txt', async (shared) => {
  for (const architecture of ['llama', 'qwen2', 'qwen3', 'gpt2', 'gemma2', 'phi3']) {
    for (const type of ['Q8_0', 'Q4_K_M', 'Q5_K_M', ...(/qwen2|gemma2/.test(architecture) ? ['F16'] : [])]) {
      it(`${architecture} of ${type}: ids and logits`, async () => {
        const name = `${architecture}.${type}`;
        using model = await load(shared, `${name}.gguf`);
        const { prompts } = await shared.json<Prompts>(`${architecture}.json`);
        const { tensors } = parseSafetensors(await shared.bytes(`${name}.safetensors`));
        for (const [i, { text, ids }] of prompts.entries()) {
          expect(model.tokenizer!.encode(text, { addSpecial: true })).toEqual(ids);
          const expected = tensors.get(`logits.${i}`)!.data() as Float32Array;
          const got = (await model.forward({ inputIds: [ids] }).logits!.data()) as Float32Array;
          const bound = LOGITS * largest(expected);
          assertClose(`${name} logits.${i}`, got, expected, () => bound);
        }
      });
    }
  }
});

await describeShared('tinystories-656k', 'checkpoints/tinystories-656k', 'reference_torch.json', async (shared) => {
  for (const type of ['F32', 'F16', 'BF16', 'Q8_0', 'Q4_0', 'Q4_1', 'Q5_0', 'Q5_1']) {
    it(`reads ${type} as safetensors has it, or as near as so many bits come`, async () => {
      const names = ['config.json', 'model.safetensors'];
      const files = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await shared.bytes(name)])));
      using plain = await loadModel(device, files);
      using model = await load(shared, `tinystories-656k-${type}.gguf`);
      const expected = plain.stateDict();
      expect(Object.keys(model.stateDict()).sort()).toEqual(Object.keys(expected).sort());
      const bits = { F32: 24, F16: 10, BF16: 8, Q8_0: 6, Q5_1: 4, Q5_0: 3, Q4_1: 3, Q4_0: 2 }[type] as number;
      for (const [name, entry] of Object.entries(model.stateDict())) {
        const values = (expected[name] as typeof entry).dataSync();
        const bound = type === 'F32' ? 0 : largest(values) * 2 ** -bits;
        assertClose(name, entry.dataSync(), values, () => bound);
      }
    });
  }
});
