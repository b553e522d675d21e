// Packed models as folders: they load with equal bits, files have no superfluous bytes, and Python refuses them by
// name.
import { createHash } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { FormatError, quantize, Transformer } from '../../src/index.js';
import { parseSafetensors, serializeSafetensors } from '../../src/io/index.js';
import type { SafetensorsArray } from '../../src/io/safetensors.js';
import { packables } from '../../src/models/quantize.js';
import { PackedWeight } from '../../src/nn/index.js';
import { type LoadedModel, type LoadModelOptions, loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { type TestData, testData } from '../test-data.js';

const device = await deviceFor(isas.at(-1) as string, 2);
const folder = mkdtempSync(join(tmpdir(), 'save-packed-'));
afterAll(() => rmSync(folder, { recursive: true }));
/** Other readers do not look for it. */
const OWN = 'model.simdformer.safetensors';
const silent = { onWarning: () => {} };

const hashOf = (values: Float32Array | Int32Array) => createHash('sha256').update(values).digest('hex');

/** Formats, and the bits of all that is packed. */
const packedIn = (model: LoadedModel | Transformer) =>
  packables(model).map(({ weight }) =>
    weight instanceof PackedWeight
      ? { format: weight.format, values: device.scope(() => hashOf(weight.unpack().dataSync())) }
      : null,
  );

async function filesOf(data: TestData): Promise<Record<string, Uint8Array>> {
  return {
    'config.json': await data.bytes('config.json'),
    'model.safetensors': await data.bytes('model.safetensors'),
  };
}

async function savedAgain(model: LoadedModel, options: LoadModelOptions = {}): Promise<LoadedModel> {
  await model.save(folder);
  return loadModel(device, folder, { ...silent, ...options });
}

const plainFamilies = ['bert-mlm', 'gpt2', 'gpt-neox', 'llama', 'gemma3', 't5', 'bart', 'phi3'];
/** Mixtures of experts: a tensor for each expert, all of a layer as [experts, out, in], and as [experts, in, out]. */
const mixtures = ['qwen3_moe', 'granitemoehybrid', 'gemma4_moe', 'gpt_oss'];

for (const family of [...plainFamilies, ...mixtures]) {
  describe(family, () => {
    const data = testData(`families/${family}`);
    it.each(['float16', 'bfloat16', 'int8', 'int4'] as const)('%s stays as it is', async (weights) => {
      const files = await filesOf(data);
      using model = await loadModel(device, files, { weights, ...silent });
      using again = await savedAgain(model);
      const packed = packedIn(model);
      expect(packed.some((each) => each !== null)).toBe(true);
      expect(packedIn(again)).toEqual(packed);
      const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'));
      if (weights.endsWith('16')) expect(config.dtype).toBe(weights);
      else expect(config.quantization_config).toMatchObject({ quant_method: 'simdformer' });
      using floats = await loadModel(device, folder, { weights: 'float32', ...silent });
      using plain = await loadModel(device, files, silent);
      const names = Object.keys(plain.stateDict()).sort();
      expect(Object.keys(floats.stateDict()).sort()).toEqual(names);
      using once = await savedAgain(floats);
      expect(packedIn(once).every((each) => each === null)).toBe(true);
    });
  });
}

describe('GGUF files', () => {
  const data = testData('gguf');
  for (const name of ['llama.Q4_K_M', 'gpt2.Q4_K_M', 'phi3.Q4_K_M', 'qwen2.F16', 'gemma2.Q5_K_M', 'llama.Q8_0']) {
    it(`${name} becomes a folder with the same bits`, async () => {
      const file = await data.bytes(`${name}.gguf`);
      using model = await loadModel(device, new Blob([file as Uint8Array<ArrayBuffer>]));
      using again = await savedAgain(model);
      expect(packedIn(again)).toEqual(packedIn(model));
      const ids = [[3, 5, 8, 2]];
      const logits = (each: LoadedModel) =>
        device.scope(() => each.forward({ inputIds: ids }).logits!.dataSync() as Float32Array);
      expect(hashOf(logits(again))).toEqual(hashOf(logits(model)));
      const max = statSync(join(folder, name.endsWith('F16') ? 'model.safetensors' : OWN)).size;
      expect(max).toBeLessThan(file.byteLength * 1.01);
    });
  }
});

const sizes = { sourceVocab: 40, targetVocab: 40, dModel: 48, heads: 2, dFF: 80, maxLength: 32 };

it.each([
  ['int8', null],
  ['int8', 32],
  ['int4', 32],
  ['float16', null],
] as const)('the paper’s Transformer, %s %s', async (weights, groupSize) => {
  for (const tieEmbeddings of [false, 'all'] as const) {
    using model = new Transformer(device, { ...sizes, tieEmbeddings }).eval();
    quantize(model, { weights, groupSize });
    const source = [[5, 6, 7, 8]];
    const expected = await model.generate(source, { maxNewTokens: 8 });
    await model.save(join(folder, 'own'));
    using loaded = await Transformer.load(device, join(folder, 'own'));
    using opened = await Transformer.fromFiles(device, await model.toFiles());
    using named = await loadModel<Transformer>(device, join(folder, 'own'));
    for (const again of [loaded, opened, named]) {
      expect(packedIn(again)).toEqual(packedIn(model));
      expect((await again.generate(source, { maxNewTokens: 8 })).sequences).toEqual(expected.sequences);
    }
    using floats = await loadModel<Transformer>(device, join(folder, 'own'), { weights: 'float32' });
    expect(packedIn(floats).every((each) => each === null)).toBe(true);
  }
});

describe('lies', () => {
  const data = testData('families/llama');
  it('are refused before memory is taken, and so are weights that other libraries quantized', async () => {
    using model = await loadModel(device, await filesOf(data), { weights: 'int8', ...silent });
    await model.save(folder);
    const file = parseSafetensors(new Uint8Array(readFileSync(join(folder, OWN))));
    const arrays = new Map(
      Array.from(
        file.tensors.values(),
        (entry) => [entry.name, { dtype: entry.dtype, shape: entry.shape, data: entry.bytes() }] as const,
      ),
    );
    const config = new Uint8Array(readFileSync(join(folder, 'config.json')));
    const before = device.memory().used;
    const load = (change: (all: Map<string, SafetensorsArray>) => void) => {
      const all = new Map<string, SafetensorsArray>(arrays);
      change(all);
      return loadModel(device, { 'config.json': config, [OWN]: serializeSafetensors(all) }, silent);
    };
    const name = 'model.layers.0.mlp.up_proj.weight';
    const shape = arrays.get(`${name}.int8`)!.shape as number[];
    for (const [change, message] of [
      [(all) => all.delete(`${name}.scale`), /packed as int8, and .*scale is missing/],
      [(all) => all.set(`${name}.scale`, { dtype: 'F32', shape: [1], data: new Uint8Array(4) }), /expected F32 \[/],
      [(all) => all.set(`${name}.int8`, { dtype: 'U8', shape, data: new Uint8Array(shape[0]! * shape[1]!) }), /is U8/],
      [(all) => all.set(`${name}.int8`, { dtype: 'I8', shape: [0, 0], data: new Uint8Array(0) }), /expected I8 \[/],
      [(all) => all.set(`${name}.q4_0`, { dtype: 'U8', shape: [0, 0], data: new Uint8Array(0) }), /there twice/],
      [(all) => all.set('model.norm.weight.q8_0', { dtype: 'U8', shape: [1, 34], data: new Uint8Array(34) }), /twice/],
      [(all) => all.set('other.q8_0', { dtype: 'U8', shape: [1, 34], data: new Uint8Array(34) }), /has no such weight/],
    ] as [(all: Map<string, SafetensorsArray>) => void, RegExp][]) {
      await expect(load(change)).rejects.toThrow(message);
      await expect(load(change)).rejects.toThrow(FormatError);
      expect(device.memory().used).toBe(before);
    }
    const theirs = { ...JSON.parse(new TextDecoder().decode(config)), quantization_config: { quant_method: 'gptq' } };
    writeFileSync(join(folder, 'config.json'), JSON.stringify(theirs));
    await expect(loadModel(device, folder, silent)).rejects.toThrow(/has no weights/);
    expect(existsSync(join(folder, 'model.safetensors'))).toBe(false);
  });
});
