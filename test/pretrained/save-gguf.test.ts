// Models saved as GGUF files: a model that is loaded again is the one that was saved.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { atOnce } from '../../src/core/slices.js';
import { parseGguf } from '../../src/io/gguf.js';
import type { GgufTexts } from '../../src/io/gguf-values.js';
import { ggufHeader } from '../../src/io/gguf-writer.js';
import { copiedEntries, writtenVocabulary } from '../../src/pretrained/gguf/written-vocabulary.js';
import { saveGguf } from '../../src/pretrained/index.js';
import { type LoadedModel, loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';
import { assertClose, largest } from '../tolerance.js';

const device = await deviceFor(isas.at(-1) as string, 2);
const folder = mkdtempSync(join(tmpdir(), 'save-gguf-'));
afterAll(() => rmSync(folder, { recursive: true }));
const path = join(folder, 'model.gguf');
const bits = { f16: 10, q8_0: 6, q4_1: 3, q4_0: 2 } as const;

describe('saved models', () => {
  const data = testData('gguf');
  for (const name of ['llama.Q8_0', 'qwen2.Q8_0', 'qwen3.Q5_K_M', 'gpt2.Q4_K_M']) {
    it(`${name}: weights, ids and settings`, async () => {
      using model = await loadModel(device, new Blob([await data.bytes(`${name}.gguf`)]), { weights: 'float32' });
      for (const [type, kept] of Object.entries(bits)) {
        await saveGguf(model, path, { type: type as keyof typeof bits });
        using again = await loadModel(device, path, { weights: 'float32' });
        expect({ ...again.config, vocab_size: 512 }).toEqual({ ...model.config, vocab_size: 512 });
        expect(again.generationConfig).toEqual(model.generationConfig);
        const text = 'Zwei naïve Männer – 12,5 % 日本 🙂';
        expect(again.tokenizer!.encode(text, { addSpecial: true })).toEqual(
          model.tokenizer!.encode(text, { addSpecial: true }),
        );
        const own = again.stateDict();
        for (const [name, entry] of Object.entries(model.stateDict())) {
          const expected = entry.dataSync();
          const bound = largest(expected) * 2 ** -kept;
          assertClose(`${name} ${type}`, own[name]!.dataSync(), expected, () => bound);
        }
      }
    });
  }
});

describe('packed models', () => {
  const data = testData('gguf');
  /** The file, with its blocks as they are or packed again as `type`. */
  async function fileOf(name: string, type: 'q8_0' | 'f16') {
    const file = await data.bytes(`${name}.gguf`);
    if (name.endsWith(type.toUpperCase())) return file;
    using model = await loadModel(device, new Blob([file]));
    await saveGguf(model, path, { type });
    return new Uint8Array(readFileSync(path));
  }

  for (const [name, type] of [
    ['llama.Q8_0', 'q8_0'],
    ['gpt2.Q4_K_M', 'q8_0'],
    ['qwen2.F16', 'f16'],
  ] as const) {
    it(`${name}: blocks of the same type are written as they are`, async () => {
      const file = await fileOf(name, type);
      using model = await loadModel(device, new Blob([file]));
      await saveGguf(model, path, { type });
      const written = new Uint8Array(readFileSync(path));
      const [before, after] = [parseGguf(file), parseGguf(written)];
      for (const [key, { type, shape, position, byteLength }] of after.tensors) {
        const own = before.tensors.get(key)!;
        expect([key, type, shape]).toEqual([key, own.type, own.shape]);
        const bytes = (of: Uint8Array, at: number) => Buffer.from(of.buffer, of.byteOffset + at, byteLength);
        expect(bytes(written, position).equals(bytes(file, own.position)), key).toBe(true);
      }
      expect([...after.tensors.keys()].sort()).toEqual([...before.tensors.keys()].sort());
    });
  }

  it.each(['q8_0', 'q4_0', 'q4_1', 'f16'] as const)('4-bit blocks become %s', async (type) => {
    const file = new Blob([(await data.bytes('llama.Q4_K_M.gguf')) as Uint8Array<ArrayBuffer>]);
    using packed = await loadModel(device, file);
    using floats = await loadModel(device, file, { weights: 'float32' });
    await saveGguf(packed, path, { type });
    const written = readFileSync(path);
    await saveGguf(floats, path, { type });
    expect(written.length).toBe(readFileSync(path).length);
    using again = await loadModel(device, path, { weights: 'float32' });
    const expected = floats.stateDict();
    for (const [key, entry] of Object.entries(again.stateDict())) {
      const wanted = expected[key]!.dataSync();
      const bound = largest(wanted) * 2 ** -bits[type];
      assertClose(`${key} ${type}`, entry.dataSync(), wanted, () => bound);
    }
  });
});

describe('a folder of transformers', () => {
  const data = testData('checkpoints/tinystories-656k');
  it('is saved with its tokenizer', async () => {
    const names = [
      'config.json',
      'model.safetensors',
      'tokenizer.json',
      'tokenizer_config.json',
      'generation_config.json',
    ];
    const files = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await data.bytes(name)])));
    using model = await loadModel(device, files);
    await saveGguf(model, path);
    expect(parseGguf(readFileSync(path)).metadata.get('tokenizer.ggml.model')).toBe('llama');
    using again = await loadModel(device, path);
    const text = 'Once upon a time, there was a little girl named Lily. 日本';
    const ids = model.tokenizer!.encode(text, { addSpecial: true });
    expect(again.tokenizer!.encode(text, { addSpecial: true })).toEqual(ids);
    const prompt = [ids.slice(0, 8)];
    const { sequences } = await again.generate(prompt, { maxNewTokens: 40 });
    expect(sequences).toEqual((await model.generate(prompt, { maxNewTokens: 40 })).sequences);
  });
});

describe('positions that are scaled', () => {
  const data = testData('families');
  it.each(['llama3-rope', 'qwen2-yarn'])('%s: logits of a text beyond what it was trained on', async (name) => {
    const names = ['config.json', 'model.safetensors'];
    const files = await Promise.all(names.map(async (each) => [each, await data.bytes(`${name}/${each}`)] as const));
    using model = await loadModel(device, Object.fromEntries(files));
    const original = (model.config.rope_parameters as { original_max_position_embeddings: number })
      .original_max_position_embeddings;
    const ids = [Array.from({ length: original + 20 }, (_, i) => 5 + ((7 * i) % 90))];
    const logits = (each: LoadedModel) => device.scope(() => each.forward({ inputIds: ids }).logits!.dataSync());
    await saveGguf(model, path);
    using again = await loadModel(device, path, { weights: 'float32' });
    const expected = logits(model) as Float32Array;
    assertClose(name, logits(again) as Float32Array, expected, () => 1e-2 * largest(expected));
  });
});

describe('large vocabularies', () => {
  const size = 50_000;
  const name = (id: number) => `t${id}é`;
  const merges = Array.from({ length: size }, (_, id) => `t${id} é`);
  const vocab = Object.fromEntries(Array.from({ length: size - 100 }, (_, id) => [name(id), id]));
  const model = { type: 'BPE', vocab, merges, byte_fallback: true };
  const json = { model, added_tokens: [{ id: size - 100, content: '<s>', special: true }], normalizer: null };
  const tokenizer = { toJSON: () => json, bosId: size - 100, encode: () => [size - 100] } as never;

  it('are written in slices', () => {
    const work = writtenVocabulary(tokenizer, size);
    let pauses = 0;
    let step = work.next();
    for (; !step.done; step = work.next()) pauses++;
    expect(pauses).toBeGreaterThanOrEqual(5 * Math.floor(size / 4096)); // five loops over tokens or merges
    const header = [...ggufHeader(step.value, [], [])];
    expect(header.length).toBeGreaterThanOrEqual(3 * Math.floor(size / 4096)); // tokens, their types and scores
    const { metadata } = parseGguf(atOnce(ggufHeader(step.value, [], [])));
    const tokens = metadata.get('tokenizer.ggml.tokens') as GgufTexts;
    expect([tokens.at(0), tokens.at(size - 101), tokens.at(size - 100), tokens.at(size - 1)]).toEqual([
      name(0),
      name(size - 101),
      '<s>',
      `[PAD${size - 1}]`,
    ]);
    expect((metadata.get('tokenizer.ggml.scores') as Float32Array).slice(0, 3)).toEqual(Float32Array.of(-0, -1, -2));
    const again = atOnce(ggufHeader(copiedEntries(metadata), [], []));
    expect(again).toEqual(atOnce(ggufHeader(step.value, [], [])));
  });
});

it('refuses other types and families', async () => {
  const bert = { config: { model_type: 'bert' }, assertMerged: () => {} } as never;
  await expect(saveGguf(bert, path)).rejects.toThrow(/model_type is "bert"/);
  await expect(saveGguf(bert, path, { type: 'q2_k' as 'f16' })).rejects.toThrow(/type is "q2_k"/);
});

describe('rules that cut words', () => {
  const contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
  const cased = '[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+';
  it.each([
    ['gpt-4o', `${cased}${contractions}?|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*`],
    ['tekken', `${cased}|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*`],
    ['qwen35', `${contractions}|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*`],
    ['qwen2', `${contractions}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*`],
    ['llama-bpe', `${contractions}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*`],
    ['bloom', ' ?[^(\\s|[.,!?…。，、।۔،])]+'],
  ])('%s', (name, Regex) => {
    const pretokenizers = [
      { type: 'Split', pattern: { Regex } },
      { type: 'ByteLevel', use_regex: false },
    ];
    const model = { type: 'BPE', vocab: { a: 0 }, merges: [] };
    const json = { model, added_tokens: [], normalizer: null, pre_tokenizer: { type: 'Sequence', pretokenizers } };
    const tokenizer = { toJSON: () => json, encode: () => [] } as never;
    expect(atOnce(writtenVocabulary(tokenizer, 1)).get('tokenizer.ggml.pre')).toEqual({ string: name });
  });
});
