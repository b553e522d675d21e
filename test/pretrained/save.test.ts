// Output of `save` for pretrained models, compared with their original checkpoints.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { loadModel } from '../../src/index.js';
import { parseSafetensors } from '../../src/io/index.js';
import type { LoadedModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';

const folderOf = (name: string) => `test/data/families/${name}`;
const device = await deviceFor(isas[0]!, 2);
const temporary = mkdtempSync(join(tmpdir(), 'simdformer-save-'));
afterAll(() => rmSync(temporary, { recursive: true }));

const quiet = { onWarning: () => {} };
const load = (folder: string, options = {}) => loadModel(device, folder, { ...quiet, ...options });

/** All tensors of a folder's weights, of one file or several. */
function weightsOf(folder: string) {
  const files = readdirSync(folder).filter((name) => /^model.*\.safetensors$/.test(name));
  return new Map(files.flatMap((name) => [...parseSafetensors(readFileSync(join(folder, name))).tensors]));
}
const configOf = (folder: string) => JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'));

describe('saving pretrained models', () => {
  // Fused and transposed matrices, shared ones, one head by head, a file in shards, names without a prefix, images.
  const names = ['bert-mlm', 'bert-pooler', 'gpt2', 'gpt-neox', 'qwen3', 'phi3', 'bart', 'dinov2', 'clip'];

  it.each(names)('%s: the same tensors under the same names, the same config', async (name) => {
    const [given, folder] = [folderOf(name), join(temporary, name)];
    const model = await load(given);
    await model.save(folder);
    const [before, after] = [weightsOf(given), weightsOf(folder)];
    const learned = [...before.keys()].filter((tensor) => tensor !== 'final_logits_bias');
    expect([...after.keys()].filter((tensor) => tensor !== 'final_logits_bias').sort()).toEqual(learned.sort());
    for (const tensor of learned) {
      expect(after.get(tensor)!.shape, tensor).toEqual(before.get(tensor)!.shape);
      expect(after.get(tensor)!.data(), tensor).toEqual(before.get(tensor)!.data());
    }
    expect(configOf(folder)).toEqual(configOf(given));
    const again = await load(folder);
    expect(again.headKind).toBe(model.headKind);
    const parameters = model.namedParameters();
    for (const [i, [key, parameter]] of again.namedParameters().entries()) {
      expect(key).toBe(parameters[i]![0]);
      expect(parameter.dataSync(), key).toEqual(parameters[i]![1].dataSync());
    }
    model.dispose();
    again.dispose();
  });

  it("keeps the ties of a classifier's embeddings", async () => {
    const given = 'test/data/families/led-question';
    const model = await load(given);
    await model.save(join(temporary, 'classifier'));
    expect(configOf(join(temporary, 'classifier'))).toEqual(configOf(given));
    model.dispose();
  });

  it.each(['bert-pooler', 'albert-mlm', 'gpt2', 'modernbert-mlm', 'vit-image', 'bart', 't5'])(
    '%s: the state dict of a body alone has the names that its class saves, and takes those of both',
    async (name) => {
      const model = await load(folderOf(name), { head: 'none' });
      const state = model.stateDict();
      const body = /^(bert|albert|transformer|model|vit)\./;
      const stored = [...weightsOf(folderOf(name)).keys()].map((key) => key.replace(body, ''));
      const names = Object.keys(state);
      expect(names.filter((key) => body.test(key))).toEqual([]);
      expect(stored.filter((key) => names.includes(key)).length).toBeGreaterThan(stored.length / 2);
      for (const [key] of model.namedParameters()) expect(names).toContain(key);
      model.loadStateDict(state);
      const own = new Map(model.statePieces().map(({ name: key }, i) => [key, model.namedParameters()[i]![1]]));
      model.loadStateDict(own);
      model.dispose();
    },
  );

  it("shows parameters and gradients by the checkpoint's names, in its layouts", async () => {
    const model = await load(folderOf('gpt2'));
    const stored = weightsOf(folderOf('gpt2'));
    const parameters = new Map(model.namedParameters());
    expect([...parameters.keys()].sort()).toEqual([...stored.keys()].sort());
    for (const [name, entry] of stored) expect(parameters.get(name)!.dataSync(), name).toEqual(entry.data());
    expect([...parameters.values()].every(({ grad, requiresGrad }) => grad === null && requiresGrad)).toBe(true);
    model.forward({ inputIds: [[3, 4, 5, 6]], labels: [[3, 4, 5, 6]] }).loss!.backward();
    const gradients = model.gradientDict();
    for (const [name, { shape, grad }] of parameters) {
      expect(grad!.shape, name).toEqual(shape);
      expect(grad!.dataSync(), name).toEqual(gradients[name]!.dataSync());
    }
    const tensors = model.namedTensors().map(([, tensor]) => tensor);
    expect(tensors).toEqual(model.parameters());
    model.dispose();
  });

  it('stores the class and the labels of a new head', async () => {
    const folder = join(temporary, 'labelled');
    const model = await load(folderOf('bert-mlm'), {
      head: 'sequence-classification',
      labels: ['good', 'bad', 'ugly'],
    });
    await model.save(folder);
    const config = configOf(folder);
    expect(config.architectures).toEqual(['BertForSequenceClassification']);
    expect(config.id2label).toEqual({ 0: 'good', 1: 'bad', 2: 'ugly' });
    const again = await load(folder);
    expect(again.headKind).toBe('sequence-classification');
    const run = (each: LoadedModel) => each.forward({ inputIds: [[2, 3, 4]] }).logits!.dataSync();
    expect(run(again)).toEqual(run(model));
    model.dispose();
    again.dispose();
  });

  it('loads a class for masked words and pairs of texts as one for masked words', async () => {
    const [folder, files] = [join(temporary, 'pairs'), folderOf('bert-mlm')];
    const config = JSON.stringify({ ...configOf(files), architectures: ['BertForPreTraining'] });
    const weights = readFileSync(join(files, 'model.safetensors'));
    const model = await loadModel(device, { 'config.json': Buffer.from(config), 'model.safetensors': weights }, quiet);
    expect(model.headKind).toBe('masked-language-model');
    await model.save(folder);
    expect(configOf(folder).architectures).toEqual(['BertForMaskedLM']);
    model.dispose();
  });

  it('drops the labels of a classifier for a question-answering head, where they would change the size', async () => {
    const model = await load(folderOf('bert-sequence'), { head: 'question-answering' });
    const folder = join(temporary, 'answers');
    await model.save(folder);
    const { id2label, label2id, architectures } = configOf(folder);
    expect([id2label, label2id, architectures]).toEqual([undefined, undefined, ['BertForQuestionAnswering']]);
    expect(weightsOf(folder).get('qa_outputs.weight')!.shape[0]).toBe(2);
    model.dispose();
  });

  it.each([
    ['vit-image', 'question-answering', /vit has no head for question-answering, expected one of none, image-class/],
    ['dinov2', 'language-model', /dinov2 has no head for language-model/],
    ['clip', 'projection', /clip has no head for projection/],
    ['siglip', 'sequence-classification', /siglip has no head for sequence-classification/],
  ])('%s: refuses a head that its family does not have', async (name, head, message) => {
    await expect(load(folderOf(name), { head })).rejects.toThrow(message);
  });

  describe('in a folder that has a model', () => {
    it('copies the other files of the folder, and removes old shards', async () => {
      const [from, to] = [join(temporary, 'from'), join(temporary, 'to')];
      const plain = await load(folderOf('llama'));
      await plain.save(from);
      await plain.save(to);
      const settings = '{"max_new_tokens": 7}\n';
      writeFileSync(join(from, 'generation_config.json'), settings);
      writeFileSync(join(from, 'notes.bin'), 'not of the model');
      for (const stale of ['model.safetensors.index.json', 'model-00001-of-00002.safetensors'])
        writeFileSync(join(to, stale), '{}');
      const model = await load(from, { signal: AbortSignal.timeout(60_000) });
      await model.save(to, { dtype: 'float16' });
      expect(readdirSync(to).sort()).toEqual(['config.json', 'generation_config.json', 'model.safetensors']);
      expect(readFileSync(join(to, 'generation_config.json'), 'utf8')).toBe(settings);
      expect(configOf(to).dtype).toBe('float16');
      expect([...weightsOf(to).values()].every(({ dtype }) => dtype === 'F16')).toBe(true);
      await model.save(from); // onto itself
      expect(existsSync(join(from, 'notes.bin'))).toBe(true);
      expect(readFileSync(join(from, 'generation_config.json'), 'utf8')).toBe(settings);
      await expect(model.save(to, { type: 'float16' } as never)).rejects.toThrow(/type/);
      plain.dispose();
      model.dispose();
    });
  });
});
