// Further results of loadModel: tokenizers, processors, and models that this package saved.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, expectTypeOf, it } from 'vitest';
import { ContinuousBatching } from '../../src/generate/index.js';
import { createDevice, FormatError, Transformer } from '../../src/index.js';
import { type LoadedModel, loadModel, loadTextModel } from '../../src/pretrained/index.js';
import { ImageProcessor } from '../../src/pretrained/processors/image.js';
import { openai } from '../../src/server/index.js';
import { Chat, pipeline } from '../../src/tasks/index.js';
import { type TestData, testData } from '../test-data.js';

const device = await createDevice({ threads: 1 });
afterAll(() => device.dispose());
const text = (value: unknown) => new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value));

async function filesOf(data: TestData, ...names: string[]): Promise<Record<string, Uint8Array>> {
  return Object.fromEntries(
    await Promise.all(names.map(async (name) => [name.split('/').at(-1) as string, await data.bytes(name)])),
  );
}

describe('tinystories-656k', () => {
  const data = testData('checkpoints/tinystories-656k');
  it('continues a text like transformers', async () => {
    const names = ['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json'];
    const warnings: string[] = [];
    const files = await filesOf(data, ...names, 'special_tokens_map.json', 'model.safetensors');
    const model = await loadModel(device, files, { onWarning: (message) => warnings.push(message) });
    expect(warnings).toEqual([]); // its tied weights have the name of the output alone
    const reference = await data.json<Record<string, { ids: number[]; greedy: number[] }>>('reference_torch.json');
    for (const [prompt, { ids, greedy }] of Object.entries(reference).filter(([, { greedy }]) => greedy)) {
      const given = model.tokenizer?.encode(prompt, { addSpecial: true }) as number[];
      expect(given).toEqual(ids);
      const { sequences } = await model.generate([given], { maxNewTokens: 40 });
      expect([...given, ...(sequences[0] as number[])]).toEqual(greedy.slice(0, ids.length + 40));
      expect(model.tokenizer?.decode(greedy).startsWith(prompt)).toBe(true);
    }
    model.dispose();
  });
});

describe('the type of the result', () => {
  const load = (from: Record<string, Uint8Array>) => loadModel(device, from);

  it('is that of a text model, unless another whole model is expected', async () => {
    const data = testData('checkpoints/tinystories-656k');
    const files = await filesOf(data, 'config.json', 'tokenizer.json', 'tokenizer_config.json', 'model.safetensors');
    const own = new Transformer(device, { encoderLayers: 0, targetVocab: 9 });
    const folder = await mkdtemp(join(tmpdir(), 'simdformer-'));
    await own.save(folder);
    const model = await loadModel(device, files);
    expectTypeOf(model).toEqualTypeOf<LoadedModel>();
    expectTypeOf(model.tokenizer).toBeNullable();
    const expected: Transformer = await loadModel(device, folder);
    const named = await loadTextModel(device, files);
    expectTypeOf(named.tokenizer).not.toBeNullable();
    const either: LoadedModel | null = await loadModel(device, files);
    // @ts-expect-error A model is not text.
    const text: string = await load(files);
    expect(text).toBeInstanceOf(Object);
    for (const each of [own, model, expected, named, either]) each.dispose();
    await rm(folder, { recursive: true });
  });

  it('fits parameters that need a part of a model', async () => {
    const data = testData('checkpoints/tinystories-656k');
    const files = await filesOf(data, 'config.json', 'tokenizer.json', 'tokenizer_config.json', 'model.safetensors');
    const chatTemplate = '{{ messages[0].content }}';
    // Each model is loaded in the argument itself, because its type is then inferred from the parameter.
    const chat = new Chat(await loadModel(device, files), { chatTemplate });
    const batching = new ContinuousBatching(await loadModel(device, files));
    const generate = await pipeline('text-generation', await loadModel(device, files));
    const app = await openai({ models: { stories: await loadModel(device, files) } });
    let answer = '';
    for await (const piece of chat.send('Once upon a time', { maxNewTokens: 2 })) answer += piece;
    expect(answer).not.toBe('');
    await generate.dispose();
    await app.close();
    await batching.close();
  });
});

describe('files beside the weights', async () => {
  const data = testData('families');
  const bert = await filesOf(data, 'bert-pooler/config.json', 'bert-pooler/model.safetensors');
  const load = async (more: Record<string, unknown>) => {
    const warnings: string[] = [];
    const files = { ...bert, ...Object.fromEntries(Object.entries(more).map(([name, file]) => [name, text(file)])) };
    const model = await loadModel(device, files, { onWarning: (message) => warnings.push(message) });
    const { tokenizer, processor } = model;
    model.dispose();
    return { tokenizer, processor, warnings };
  };

  it('give all memory back if a setting is refused after some parts are made', async () => {
    const files = await filesOf(data, 'mpnet/config.json', 'mpnet/model.safetensors');
    const config = JSON.parse(new TextDecoder().decode(files['config.json']));
    const before = device.memory().used;
    const broken = { ...files, 'config.json': text({ ...config, attention_probs_dropout_prob: {} }) };
    await expect(loadModel(device, broken)).rejects.toThrow(/attention_probs_dropout_prob is an object/);
    expect(device.memory().used).toBe(before);
  });

  it('give no tokenizer and no processor if they are missing', async () => {
    expect(await load({})).toEqual({ tokenizer: null, processor: null, warnings: [] });
  });

  it('make BERT’s tokenizer from vocab.txt', async () => {
    const vocab = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'hello', 'wor', '##ld', '中', '!', 'E', '##e'];
    const files = { 'vocab.txt': `${vocab.join('\n')}\n` };
    const { tokenizer } = await load(files);
    expect(tokenizer?.encode('Héllo WORLD中!x', { addSpecial: true })).toEqual([2, 5, 6, 7, 8, 9, 1, 3]);
    const cased = await load({ ...files, 'tokenizer_config.json': { do_lower_case: false } });
    expect(cased.tokenizer?.encode('Hello hello Ee')).toEqual([1, 5, 10, 11]);
    expect(cased.tokenizer?.padId).toBe(0);
  });

  it('cause a warning if the tokenizer is damaged, but the model works', async () => {
    const { tokenizer, warnings } = await load({ 'spiece.model': 'x' });
    expect(tokenizer).toBeNull();
    expect(warnings).toEqual([expect.stringMatching(/spiece\.model of SentencePiece .*save_pretrained/)]);
    const damaged = await load({ 'tokenizer.json': { model: 5 } });
    expect(damaged.warnings).toEqual([expect.stringMatching(/tokenizer\.json/)]);
    const without = await load({ 'vocab.txt': 'a\nb\n' });
    expect(without.warnings).toEqual([expect.stringMatching(/vocab\.txt has no \[UNK\]/)]);
  });

  it('are demanded by loadTextModel', async () => {
    const before = device.memory().used;
    const refused = loadTextModel(device, bert, { onWarning() {} });
    await expect(refused).rejects.toThrow(FormatError);
    await expect(refused).rejects.toThrow('loadTextModel: the model is of family bert, without a readable tokenizer');
    expect(device.memory().used).toBe(before);
  });

  it('make processors', async () => {
    const image = { image_processor_type: 'ViTImageProcessor', size: { height: 4, width: 4 } };
    expect((await load({ 'preprocessor_config.json': image })).processor).toBeInstanceOf(ImageProcessor);
  });
});

describe('folders of Transformer.save', () => {
  it('load as that Transformer', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'simdformer-'));
    const sizes = { dModel: 8, heads: 2, encoderLayers: 0, decoderLayers: 1, targetVocab: 13 };
    const model = new Transformer(device, { ...sizes, seed: 4 });
    await model.save(folder);
    for (const from of [folder, await model.toFiles()]) {
      const loaded = await loadModel<Transformer>(device, from);
      expect(loaded).toBeInstanceOf(Transformer);
      expect(loaded.config).toEqual(model.config);
      const [name, entry] = Object.entries(loaded.stateDict())[0] as [string, { data(): unknown }];
      expect(await entry.data()).toEqual(await model.stateDict()[name]?.data());
    }
    await expect(loadModel(device, folder, { labels: ['a'] })).rejects.toThrow(/labels is given/);
    await expect(loadTextModel(device, folder)).rejects.toThrow('use loadModel<Transformer>');
    await rm(folder, { recursive: true });
  });
});

it.each([['org/name', {}], [null], [createDevice()]])('refuses %s in place of a device', async (given, from = 'x') => {
  const message = /^loadModel: device is .*, expected await createDevice\(\)$/;
  for (const load of [loadModel, loadTextModel])
    await expect(load(given as never, from as never)).rejects.toThrow(message);
});

it('refuses labels that repeat', async () => {
  const given = { head: 'sequence-classification', labels: ['a', 'b', 'a'] } as const;
  await expect(loadModel(device, testData('families/bert-pooler').path, given)).rejects.toThrow(
    'loadModel: labels has "a" twice, expected different names',
  );
});

it('refuses BLOOM’s slow_but_exact, with which transformers leaves out biases', async () => {
  const files = await filesOf(testData('families'), 'bloom/config.json', 'bloom/model.safetensors');
  const config = JSON.parse(new TextDecoder().decode(files['config.json']));
  const given = { ...files, 'config.json': text({ ...config, slow_but_exact: true }) };
  await expect(loadModel(device, given)).rejects.toThrow('slow_but_exact is true, expected false');
});
