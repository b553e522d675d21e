// Qwen2-VL's files: names and settings of transformers 4 and 5, and the language model alone.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { parseSafetensors, type SafetensorsSource, serializeSafetensors } from '../../src/io/safetensors.js';
import type { PretrainedModel } from '../../src/models/pretrained-model.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { lora } from '../../src/pretrained/peft/lora.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';
import { filesOf, inputsOf, referenceOf } from './reference.js';

const data = testData('families');
const device = await deviceFor(isas.at(-1) as string, 2);
const models: PretrainedModel[] = [];
const folder = await mkdtemp(join(tmpdir(), 'qwen2-vl-'));
afterAll(async () => {
  for (const model of models) model.dispose();
  await rm(folder, { recursive: true });
});

type Files = Readonly<Record<string, Uint8Array>>;

async function load(files: Files | string, options = {}): Promise<PretrainedModel> {
  const model = await loadModel(device, files, options);
  models.push(model);
  return model;
}

/** The files with the names of tensors that transformers 5 has in memory. */
function inMemory(files: Files): Files {
  const tensors: Record<string, SafetensorsSource> = {};
  for (const [name, entry] of parseSafetensors(files['model.safetensors'] as Uint8Array).tensors) {
    const other = name.replace(/^model\./, 'model.language_model.').replace(/^visual\./, 'model.visual.');
    tensors[other] = { dtype: 'F32', shape: [...entry.shape], data: entry.data() as Float32Array };
  }
  return { ...files, 'model.safetensors': serializeSafetensors(tensors) };
}

async function filesIn(form: string): Promise<Files> {
  const files = await filesOf(data, 'qwen2_vl');
  const legacy = { ...files, 'config.json': await data.bytes('qwen2_vl/config.legacy.json') };
  return form === 'names in memory' ? inMemory(files) : form === 'settings at the top' ? legacy : files;
}

const inputIds = [[3, 5, 6, 7, 8, 9, 10]];
const forms = ['names in memory', 'settings at the top', 'present form'] as const;

it.each(forms)('reads images, or text alone: %s', async (form) => {
  const files = await filesIn(form);
  const whole = await load(files);
  const inputs = inputsOf(device, await referenceOf(data, 'qwen2_vl'));
  const reference = parseSafetensors(await data.bytes('qwen2_vl/reference.safetensors')).tensors.get('loss')!;
  expect(await whole.forward(inputs).loss!.item()).toBeCloseTo(reference.data()[0] as number, 4);
  const text = await load(files, { head: 'language-model', onWarning: () => {} });
  const expected = await whole.forward({ inputIds }).logits!.data();
  expect(await text.forward({ inputIds }).logits!.data()).toEqual(expected);
  expect(text.namedParameters().some(([name]) => name.startsWith('visual.'))).toBe(false);
});

it.each(forms)('saves the names of published files, and the settings as they were: %s', async (form) => {
  const model = await load(await filesIn(form));
  const path = join(folder, form.replaceAll(' ', '-'));
  await model.save(path);
  const names = [...parseSafetensors(await readFile(join(path, 'model.safetensors'))).tensors.keys()];
  expect(names).toContain('model.layers.0.self_attn.q_proj.weight');
  expect(names).toContain('visual.merger.mlp.0.weight');
  const config = JSON.parse(await readFile(join(path, 'config.json'), 'utf8'));
  expect('text_config' in config).toBe(form !== 'settings at the top');
  const again = await load(path);
  const expected = await model.forward({ inputIds }).logits!.data();
  expect(await again.forward({ inputIds }).logits!.data()).toEqual(expected);
});

it.each(forms)('saves the language model alone as Qwen2, which transformers has a class for: %s', async (form) => {
  const text = await load(await filesIn(form), { head: 'language-model', onWarning: () => {} });
  const path = join(folder, `text-${form.replaceAll(' ', '-')}`);
  await text.save(path);
  const config = JSON.parse(await readFile(join(path, 'config.json'), 'utf8'));
  expect(config).toMatchObject({ model_type: 'qwen2', architectures: ['Qwen2ForCausalLM'] });
  expect(JSON.stringify(config)).not.toContain('mrope');
  const again = await load(path);
  const expected = await text.forward({ inputIds }).logits!.data();
  expect(await again.forward({ inputIds }).logits!.data()).toEqual(expected);
});

it('reads and saves a model without a head', async () => {
  const files = await filesOf(data, 'qwen2_vl');
  const tensors: Record<string, SafetensorsSource> = {};
  for (const [name, entry] of parseSafetensors(files['model.safetensors'] as Uint8Array).tensors)
    if (!name.startsWith('lm_head.'))
      tensors[name.replace(/^model\./, 'language_model.')] = {
        dtype: 'F32',
        shape: [...entry.shape],
        data: entry.data() as Float32Array,
      };
  const config = JSON.parse(new TextDecoder().decode(files['config.json']));
  const json = new TextEncoder().encode(JSON.stringify({ ...config, architectures: ['Qwen2VLModel'] }));
  const model = await load({ 'config.json': json, 'model.safetensors': serializeSafetensors(tensors) });
  const inputs = inputsOf(device, await referenceOf(data, 'qwen2_vl'));
  const { labels: _, ...images } = inputs;
  const whole = await load(files);
  const expected = whole.forward(images, { hiddenStates: true }).hiddenStates!.at(-1)!;
  expect(await model.forward(images).lastHiddenState!.data()).toEqual(await expected.data());
  await model.save(join(folder, 'headless'));
  const saved = parseSafetensors(await readFile(join(folder, 'headless/model.safetensors'))).tensors;
  expect([...saved.keys()].sort()).toEqual(
    Object.keys(tensors)
      .map((name) => name.replace(/^language_model\./, 'model.'))
      .sort(),
  );
});

it('saves adapters with the names of modules in transformers 5', async () => {
  const model = await load(await filesIn('present form'));
  const adapter = lora(model, { r: 2, targets: ['q_proj', 'fc1'] });
  await adapter.save(join(folder, 'adapter'));
  const file = await readFile(join(folder, 'adapter/adapter_model.safetensors'));
  expect([...parseSafetensors(file).tensors.keys()].filter((name) => name.includes('.0.')).sort()).toEqual([
    'base_model.model.model.language_model.layers.0.self_attn.q_proj.lora_A.weight',
    'base_model.model.model.language_model.layers.0.self_attn.q_proj.lora_B.weight',
    'base_model.model.model.visual.blocks.0.mlp.fc1.lora_A.weight',
    'base_model.model.model.visual.blocks.0.mlp.fc1.lora_B.weight',
  ]);
});

it('refuses videos, windows below a block, and sections that are not all pairs', async () => {
  const model = await load(await filesIn('present form'));
  const inputs = inputsOf(device, await referenceOf(data, 'qwen2_vl'));
  const imageGridThw = [[2, 2, 2]];
  expect(() => model.forward({ ...inputs, imageGridThw })).toThrow(/imageGridThw\[0\] is 2, 2, 2, expected 1 frame/);
  const other = await filesOf(data, 'qwen2_5_vl');
  const config = JSON.parse(new TextDecoder().decode(other['config.json']));
  const changed = (change: object) => {
    const json = new TextEncoder().encode(JSON.stringify({ ...config, ...change }));
    return load({ ...other, 'config.json': json });
  };
  const small = { ...config.vision_config, window_size: 3 };
  await expect(changed({ vision_config: small })).rejects.toThrow(/window_size is less than a block/);
  const rope = { ...config.text_config.rope_parameters, mrope_section: [1, 1, 1] };
  const text = { ...config.text_config, rope_parameters: rope };
  await expect(changed({ text_config: text })).rejects.toThrow(/mrope_section has 3 pairs of features, expected 4/);
});
