// Encoders of CLIP, SigLIP and CLAP that are loaded alone: from whole folders, and from ONNX files with the parameters of
// one encoder. Each computes what the whole model computes for inputs of one kind.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { SafetensorsEntry } from '../../src/io/safetensors.js';
import { parseSafetensors } from '../../src/io/safetensors.js';
import type { ModelInputs } from '../../src/models/inputs.js';
import type { PretrainedModel } from '../../src/models/pretrained-model.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { ONNX_TYPES, onnxModel, tensor } from '../onnx-file.js';
import { testData } from '../test-data.js';

type Tower = 'text' | 'vision' | 'audio';
type Output = Record<string, { data(): Promise<Float32Array>; readonly shape: readonly number[] }>;

const device = await deviceFor(isas.at(-1) as string, 1);
const models: PretrainedModel[] = [];
const folder = mkdtempSync(join(tmpdir(), 'towers-'));
afterAll(() => {
  for (const model of models) model.dispose();
  rmSync(folder, { recursive: true });
});

const warnings: string[] = [];
async function load(...[from, options]: [Parameters<typeof loadModel>[1], Parameters<typeof loadModel>[2]?]) {
  warnings.length = 0;
  const onWarning = (text: string) => void warnings.push(text);
  const model = (await loadModel(device, from, { onWarning, ...options })) as PretrainedModel;
  models.push(model);
  return model;
}

const ids = { inputIds: [[3, 9, 4, 11, 5, 7, 8, 6]] };

/** Names of the vectors of both encoders, and the inputs of the second one. */
const kinds: Record<string, { readonly vectors: string[]; readonly other: Tower }> = {
  clip: { vectors: ['textEmbeds', 'imageEmbeds'], other: 'vision' },
  siglip: { vectors: ['poolerOutput', 'poolerOutput'], other: 'vision' },
  clap: { vectors: ['textEmbeds', 'audioEmbeds'], other: 'audio' },
};

describe.each(Object.entries(kinds))('%s', (name, { vectors, other }) => {
  const data = testData(`families/${name}`);
  let floats: SafetensorsEntry[];
  let config: Uint8Array;
  let whole: PretrainedModel;
  let inputs: Record<string, ModelInputs>;

  /** An ONNX file with the parameters of one encoder. */
  const fileOf = (tower: Tower) => {
    const isOf = tower === 'vision' ? /^vis(ion|ual)_/ : new RegExp(`^${tower}_`);
    const own = floats.filter((entry) => isOf.test(entry.name));
    const tensors = own.map((entry) => {
      const values = entry.data() as Float32Array;
      return tensor(entry.name, entry.shape, ONNX_TYPES.float, new Uint8Array(values.slice().buffer));
    });
    return onnxModel(tensors, []);
  };

  beforeAll(async () => {
    const { tensors } = parseSafetensors(await data.bytes('model.safetensors'));
    floats = [...tensors.values()].filter(({ dtype }) => dtype === 'F32') as SafetensorsEntry[];
    config = await data.bytes('config.json');
    whole = await load(data.path);
    const reference = parseSafetensors(await data.bytes('reference.safetensors')).tensors;
    const key = other === 'vision' ? 'pixel_values' : 'input_features';
    const media = reference.get(key) as SafetensorsEntry;
    const value = device.unscoped(() => device.tensor(media.data() as Float32Array, media.shape));
    inputs = { text: ids, [other]: { [other === 'vision' ? 'pixelValues' : 'inputFeatures']: value } };
  });

  async function expectSame(model: PretrainedModel, tower: Tower) {
    const given = inputs[tower] as ModelInputs;
    const [actual, expected] = [model.forward(given), whole.forward(given)] as unknown as [Output, Output];
    const vector = vectors[tower === 'text' ? 0 : 1] as string;
    for (const output of [vector, 'lastHiddenState'])
      expect([...(await actual[output]!.data())]).toEqual([...(await expected[output]!.data())]);
    expect(warnings).toEqual([]);
  }

  it('has encoders that are loaded alone, and saved', async () => {
    for (const tower of ['text', other] as const) {
      const model = await load(data.path, { tower });
      await expectSame(model, tower);
      expect(Object.keys(model.stateDict()).length).toBeLessThan(Object.keys(whole.stateDict()).length);
      const copy = join(folder, `${name}-${tower}`);
      await model.save(copy);
      await expectSame(await load(copy), tower);
    }
  });

  it('reads the ONNX file of an encoder', async () => {
    for (const tower of ['text', other] as const) {
      const file = fileOf(tower);
      for (const [stem, options] of [
        [`onnx/${tower}_model`, {}],
        [`onnx/${tower}_encoder`, {}],
        [`${tower}_model_fp16`, { dtype: 'fp16' }],
        [`onnx/${tower}_model_quantized`, { head: 'none' }],
        [`onnx/${tower}_model_q4f16`, { tower, dtype: 'q4f16' }],
      ] as const) {
        const model = await load({ 'config.json': config, [`${stem}.onnx`]: file }, options);
        await expectSame(model, tower);
      }
      const both = {
        'config.json': config,
        'onnx/text_model.onnx': fileOf('text'),
        [`onnx/${other}_model.onnx`]: fileOf(other),
      };
      await expectSame(await load(both, { tower }), tower);
    }
  });

  it('refuses encoders that it lacks', async () => {
    const missing = other === 'vision' ? 'audio' : 'vision';
    await expect(load(data.path, { tower: missing })).rejects.toThrow(
      `loadModel: tower is '${missing}', but the model is ${name}, which has no such encoder: omit it`,
    );
    const files = { 'config.json': config, 'onnx/text_model.onnx': fileOf('text') };
    await expect(load(files, { tower: other })).rejects.toThrow(
      `has no ONNX files ${other}_model for dtype "auto": there is onnx/text_model.onnx`,
    );
    await expect(load(files, { tower: 'text', dtype: 'q8' })).rejects.toThrow(
      'has no ONNX files text_model for dtype "q8"',
    );
  });
});

it('refuses the encoder of a model that compares nothing', async () => {
  const { path } = testData('families/bert-mlm');
  await expect(load(path, { tower: 'text' })).rejects.toThrow("tower is 'text', but the model is bert");
  await expect(load(path, { tower: 'image' as never })).rejects.toThrow('expected one of text, vision, audio');
});
