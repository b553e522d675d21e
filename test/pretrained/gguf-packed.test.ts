// GGUF files whose blocks stay packed. Logits must match transformers on the dequantized file, and memory must be close
// to the size of the file.
import { readdirSync, statSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { lora } from '../../src/finetune/index.js';
import { parseGguf } from '../../src/io/gguf.js';
import { parseSafetensors } from '../../src/io/safetensors.js';
import { packables } from '../../src/models/quantize.js';
import { PackedWeight } from '../../src/nn/index.js';
import { type LoadedModel, loadModel } from '../../src/pretrained/load-model.js';
import { AdamW } from '../../src/train/index.js';
import { deviceFor, isas } from '../describe-op.js';
import { describeReal } from '../real-models.js';
import { testData } from '../test-data.js';
import { assertClose, largest } from '../tolerance.js';

interface Prompts {
  readonly prompts: readonly { text: string; ids: number[] }[];
}

const device = await deviceFor(isas.at(-1) as string, 2);

/** Relative to the largest logit. */
const LOGITS = 1e-3;

/** Bytes that a file's matrices take in the heap at most, by those in the file: 6-bit scales become bytes, tiles are filled. */
const MEMORY = 1.05;

const blobOf = (bytes: Uint8Array) => new Blob([bytes as Uint8Array<ArrayBuffer>]);

interface Continued {
  readonly prompts: readonly { ids: number[]; greedy: number[]; margins: number[] }[];
}

const packedAs = (type: string) => type.toLowerCase().replace('bf16', 'bfloat16').replace(/^f16/, 'float16');

/** Formats of all weights that can be packed, null of those that are not. */
const formatsOf = (model: LoadedModel) =>
  packables(model).flatMap(({ weight }) => (weight instanceof PackedWeight ? weight.format.split('+') : [null]));

describe('GGUF files whose blocks stay packed', () => {
  const data = testData('gguf');
  for (const file of readdirSync(data.path).filter((each) => each.endsWith('.gguf'))) {
    const name = file.slice(0, -'.gguf'.length);
    it(`${name}: logits and memory`, async () => {
      const bytes = await data.bytes(file);
      const before = device.memory().used;
      const model = await loadModel(device, blobOf(bytes), { activations: 'float32' });
      expect(device.memory().used - before).toBeLessThan(bytes.byteLength * MEMORY);
      const matrices = [...parseGguf(bytes).tensors.values()].filter(({ type }) => type !== 'F32');
      expect(new Set(formatsOf(model))).toEqual(new Set(matrices.map(({ type }) => packedAs(type))));
      const { prompts } = await data.json<Prompts>(`${name.split('.')[0]}.json`);
      const { tensors } = parseSafetensors(await data.bytes(`${name}.safetensors`));
      for (const [i, { ids }] of prompts.entries())
        expectLogits(model, ids, tensors.get(`logits.${i}`)!.data() as Float32Array, `${name} logits.${i}`);
      model.dispose();
      expect(device.memory().used).toBe(before);
    });
  }

  it('can be read from a stream, in order', async () => {
    const file = await data.bytes('llama.Q4_K_M.gguf');
    const headers = { 'content-length': String(file.byteLength) };
    using streamed = await loadModel(device, new Response(blobOf(file).stream(), { headers }));
    using model = await loadModel(device, blobOf(file));
    const logits = (each: LoadedModel) =>
      device.scope(() => each.forward({ inputIds: [[1, 2, 3]] }).logits!.dataSync());
    expect(logits(streamed)).toEqual(logits(model));
  });

  it('free all memory if a load ends early', async () => {
    const file = await data.bytes('llama.Q4_K_M.gguf');
    const before = device.memory().used;
    const headers = { 'content-length': String(file.byteLength) };
    const cut = new Response(blobOf(file.subarray(0, file.byteLength - 300_000)).stream(), { headers });
    await expect(loadModel(device, cut)).rejects.toThrow(/ends after/);
    expect(device.memory().used).toBe(before);
  });

  it('are packed to another format, or unpacked, on request', async () => {
    const file = blobOf(await data.bytes('llama.Q4_K_M.gguf'));
    for (const [weights, format] of [
      ['int8', 'int8'],
      ['int4', 'q4_1'],
      ['float32', null],
    ] as const) {
      using model = await loadModel(device, file, { weights });
      expect(new Set(formatsOf(model))).toEqual(new Set([format]));
    }
  });

  it.each(['llama.Q4_K_M', 'gpt2.Q4_K_M'])('%s: adapters learn on them', async (name) => {
    using model = await loadModel(device, blobOf(await data.bytes(`${name}.gguf`)));
    const targets = ['q_proj', 'v_proj', 'down_proj', 'c_attn', 'c_fc'].filter(
      (end) => end.startsWith('c_') === /gpt2/.test(name),
    );
    const adapter = lora(model, { r: 4, targets });
    using optimizer = new AdamW(adapter.parameters(), { lr: 0.02 });
    const ids = [[5, 9, 13, 2, 41, 7, 3, 11]];
    model.train();
    const losses = Array.from({ length: 6 }, () =>
      device.scope(() => {
        const loss = model.forward({ inputIds: ids, labels: ids }).loss!;
        loss.backward();
        optimizer.step();
        optimizer.zeroGrad();
        return loss.dataSync()[0] as number;
      }),
    );
    expect(losses.at(-1)).toBeLessThan((losses[0] as number) - 0.1);
  });
});

for (const [path, name] of [
  ['smollm2-135m/SmolLM2-135M-Instruct.Q4_1.gguf', 'smollm2-135m'],
  ['gemma-3-270m/gemma-3-270m.Q4_K_M.gguf', 'gemma-3-270m'],
] as const) {
  describeReal(path, async (file) => {
    describe('as transformers has it', () => {
      const data = testData('checkpoints/real');
      it('gives the logits, and the tokens unless the margin is tiny', async () => {
        const device = await deviceFor(isas[0] as string, 2);
        const before = device.memory().used;
        using model = await loadModel(device, file, { activations: 'float32' });
        expect(device.memory().used - before).toBeLessThan(statSync(file).size * MEMORY);
        const { prompts } = await data.json<Continued>(`${name}.json`);
        const { tensors } = parseSafetensors(await data.bytes(`${name}.safetensors`));
        for (const [i, { ids, greedy, margins }] of prompts.entries()) {
          const expected = tensors.get(`logits.${i}`)!.data() as Float32Array;
          expectLogits(model, ids, expected, `${name} logits.${i}`, 16);
          const sure = margins.findIndex((margin) => margin <= 0.01);
          const length = sure < 0 ? greedy.length : sure;
          const { sequences } = await model.generate([ids], { doSample: false, maxNewTokens: length });
          const end = model.tokenizer!.eosId;
          expect(sequences[0]).toEqual(greedy.slice(0, length).filter((id) => id !== end));
        }
      });
    });
  });
}

/** Compares the last logits of a forward pass. `expected` holds all, or every `stride`-th. */
function expectLogits(model: LoadedModel, ids: number[], expected: Float32Array, what: string, stride = 1): void {
  const all = model.device.scope(() => model.forward({ inputIds: [ids] }).logits!.dataSync()) as Float32Array;
  const last = all.slice(-expected.length * stride).filter((_, at) => at % stride === 0);
  const bound = LOGITS * largest(expected);
  assertClose(what, last, expected, () => bound);
}
