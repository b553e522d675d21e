// Models of sentence-transformers, whose projections have files of their own, taught and saved.
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { FormatError } from '../../src/core/errors.js';
import { loadModel } from '../../src/index.js';
import { parseSafetensors, saveSafetensors } from '../../src/io/index.js';
import { mean } from '../../src/ops/index.js';
import type { LoadedModel } from '../../src/pretrained/load-model.js';
import { SGD } from '../../src/train/index.js';
import { deviceFor, isas } from '../describe-op.js';

const temporary = mkdtempSync(join(tmpdir(), 'simdformer-sentences-'));
afterAll(() => rmSync(temporary, { recursive: true }));

const modules = ['Transformer', 'Pooling', 'Dense', 'Dense'].map((kind, idx) => ({
  idx,
  name: String(idx),
  path: idx === 0 ? '' : `${idx}_${kind}`,
  type: `sentence_transformers.models.${kind}`,
}));

/** A BERT with two projections, 32 → 6 → 4, the second without a bias. */
async function sentenceModel(): Promise<string> {
  const folder = join(temporary, 'given');
  cpSync('test/data/families/bert-pooler', folder, { recursive: true });
  const write = (name: string, json: object) => writeFileSync(join(folder, name), JSON.stringify(json));
  write('modules.json', modules);
  for (const { path } of modules.slice(1)) mkdirSync(join(folder, path));
  write('1_Pooling/config.json', { word_embedding_dimension: 32, pooling_mode_mean_tokens: true });
  for (const [path, inputs, outputs, bias] of [
    ['2_Dense', 32, 6, true],
    ['3_Dense', 6, 4, false],
  ] as const) {
    const name = 'torch.nn.modules.activation.Tanh';
    write(`${path}/config.json`, { in_features: inputs, out_features: outputs, bias, activation_function: name });
    const numbers = (count: number) => Float32Array.from({ length: count }, (_, i) => Math.sin(i) / 4);
    const weight = { dtype: 'F32', shape: [outputs, inputs], data: numbers(outputs * inputs) } as const;
    const biases = bias ? { 'linear.bias': { dtype: 'F32', shape: [outputs], data: numbers(outputs) } as const } : {};
    await saveSafetensors(join(folder, path, 'model.safetensors'), { 'linear.weight': weight, ...biases });
  }
  return folder;
}

describe('saving models of sentences', () => {
  it('writes trained projections into their own files', async () => {
    const device = await deviceFor(isas[0]!, 2);
    const given = await sentenceModel();
    const onWarning = (message: string) => {
      throw new Error(message);
    };
    const model = await loadModel(device, given, { onWarning });
    const ids = {
      inputIds: [
        [3, 4, 5],
        [6, 7, 8],
      ],
    };
    const vectors = async (of: LoadedModel) => (await of.forward(ids).sentenceEmbedding!.data()).slice();
    const before = await vectors(model);
    model.train();
    const optimizer = new SGD(model.parameters(), { lr: 0.5 });
    mean(model.forward(ids).sentenceEmbedding!).backward();
    optimizer.step();
    model.eval();
    const taught = await vectors(model);
    expect(taught).not.toEqual(before);

    const folder = join(temporary, 'saved');
    await model.save(folder);
    const again = await loadModel(device, folder, { onWarning });
    expect(await vectors(again)).toEqual(taught);
    const namesIn = (path: string) => [...parseSafetensors(readFileSync(join(folder, path))).tensors.keys()];
    expect(namesIn('2_Dense/model.safetensors').sort()).toEqual(['linear.bias', 'linear.weight']);
    expect(namesIn('3_Dense/model.safetensors')).toEqual(['linear.weight']);
    expect(namesIn('model.safetensors').filter((name) => /dense\.\d|sentence/.test(name))).toEqual([]);
    for (const name of ['modules.json', '2_Dense/config.json'])
      expect(readFileSync(join(folder, name))).toEqual(readFileSync(join(given, name)));
    model.dispose();
    again.dispose();
    writeFileSync(join(folder, 'modules.json'), '[{');
    const damaged = loadModel(device, folder, { onWarning });
    await expect(damaged).rejects.toThrow(FormatError);
    await expect(damaged).rejects.toThrow(/modules.json is not JSON in UTF-8/);
  });
});

describe('models of sentences that are decoders', () => {
  it('are bodies with last-token pooling, as Qwen3-Embedding', async () => {
    const folder = join(temporary, 'decoder');
    cpSync('test/data/families/qwen3', folder, { recursive: true });
    const kinds = ['Transformer', 'Pooling', 'Normalize'];
    const list = kinds.map((kind, idx) => ({
      ...modules[0],
      idx,
      path: idx === 0 ? '' : `${idx}_${kind}`,
      type: kind,
    }));
    writeFileSync(join(folder, 'modules.json'), JSON.stringify(list));
    mkdirSync(join(folder, '1_Pooling'));
    writeFileSync(join(folder, '1_Pooling/config.json'), JSON.stringify({ pooling_mode_lasttoken: true }));
    const device = await deviceFor(isas[0]!, 2);
    const model = await loadModel(device, folder, { onWarning() {} });
    expect(model.headKind).toBe('none');
    const inputIds = [[3, 4, 5], [6]];
    const { lastHiddenState, sentenceEmbedding } = model.forward({ inputIds });
    const [all, found] = [await lastHiddenState!.data(), await sentenceEmbedding!.data()];
    const [rows, features] = sentenceEmbedding!.shape as [number, number];
    expect(rows).toBe(2);
    for (const [i, ids] of inputIds.entries()) {
      const start = (i * 3 + ids.length - 1) * features;
      const last = all.slice(start, start + features);
      const length = Math.hypot(...last);
      for (const [at, value] of last.entries()) expect(found[i * features + at]).toBeCloseTo(value / length, 5);
    }
    // With a head it is not a model of sentences any more, and neither is what is saved of it.
    const writer = await loadModel(device, folder, { head: 'language-model' });
    await writer.save(join(temporary, 'writer'));
    expect(existsSync(join(temporary, 'writer/modules.json'))).toBe(false);
    expect((await loadModel(device, join(temporary, 'writer'))).headKind).toBe('language-model');
    device.dispose();
  });
});
