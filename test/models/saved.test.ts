import { mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { createDevice } from '../../src/core/create-device.js';
import type { Device } from '../../src/core/device.js';
import { ArgumentError, DeviceError, FormatError, OutOfMemoryError, ShapeError } from '../../src/core/errors.js';
import { Transformer } from '../../src/models/families/transformer.js';
import { Initializer, LayerNorm } from '../../src/nn/index.js';
import { CharTokenizer, parseTokenizer, WordTokenizer } from '../../src/tokenizers/index.js';

let device: Device;
let folder: string;
let model: Transformer;
const source = [[3, 4, 5]];
const target = [[1, 3, 4]];
const special = { pad: '<pad>', bos: '<s>', eos: '</s>' };

beforeAll(async () => {
  device = await createDevice({ threads: 1 });
  folder = await mkdtemp(join(tmpdir(), 'simdformer-'));
  const letters = CharTokenizer.train('abcde', { special });
  const phonemes = WordTokenizer.train('AA BB CC', { special });
  const sizes = { dModel: 16, heads: 2, encoderLayers: 1, decoderLayers: 2, dFF: 24, maxLength: 20 };
  const vocabularies = { sourceVocab: letters.vocabSize, targetVocab: phonemes.vocabSize };
  model = new Transformer(device, { ...sizes, ...vocabularies, positions: 'shaw', norm: 'pre' });
  model.tokenizers = { source: letters, target: phonemes };
});

afterAll(async () => {
  device.dispose();
  await rm(folder, { recursive: true });
});

describe('save and load', () => {
  it('accept URLs and Blobs of other realms, as in tests with a separate DOM', async () => {
    const url = pathToFileURL(join(folder, 'of a URL'));
    const blobs = Object.entries(await model.toFiles()).map(([name, bytes]) => [name, new Blob([bytes as BlobPart])]);
    vi.stubGlobal('URL', class extends URL {});
    vi.stubGlobal('Blob', class {});
    try {
      await model.save(url);
      for (const loaded of [
        await Transformer.load(device, url),
        await Transformer.fromFiles(device, Object.fromEntries(blobs)),
      ])
        expect(loaded.config).toEqual(model.config);
    } finally {
      vi.unstubAllGlobals();
    }
  });

  it('restore the settings of generation, and refuse invalid ones', async () => {
    const files = await model.toFiles();
    expect((await Transformer.fromFiles(device, files)).generationConfig).toEqual({});
    const short = await Transformer.fromFiles(device, files);
    short.generationConfig = { lengthPenalty: 0.1 };
    const again = await Transformer.fromFiles(device, await short.toFiles());
    expect(again.generationConfig).toEqual({ lengthPenalty: 0.1 });
    const beams = { numBeams: 3, maxNewTokens: 12, minNewTokens: 4 };
    const { scores: asGiven } = await model.eval().generate(source, { ...beams, lengthPenalty: 0.1 });
    const { scores: byDefault } = await model.generate(source, beams);
    expect((await again.generate(source, beams)).scores).toEqual(asGiven);
    expect(byDefault).not.toEqual(asGiven);
    const config = JSON.parse(new TextDecoder().decode(files['config.json']));
    for (const generation of [5, null, { lengthPenalty: '1' }, { lengthPenalties: 1 }]) {
      const damaged = new TextEncoder().encode(JSON.stringify({ ...config, generation }));
      const refused = Transformer.fromFiles(device, { ...files, 'config.json': damaged });
      await expect(refused).rejects.toThrow(/^config.json: generation is .*expected an object with a lengthPenalty/);
      await refused.catch((error) => expect(error).toBeInstanceOf(FormatError));
    }
  });

  it('restore the same model and tokenizers', async () => {
    const path = join(folder, 'whole');
    await model.save(path);
    await model.save(path); // over an older one
    expect((await readdir(path)).sort()).toEqual([
      'config.json',
      'model.safetensors',
      'source-tokenizer.json',
      'target-tokenizer.json',
    ]);
    const loaded = await Transformer.load(device, path);
    expect(loaded.config).toEqual(model.config);
    expect(await loaded.forward(source, target).data()).toEqual(await model.eval().forward(source, target).data());
    expect(loaded.tokenizers.source?.encode('bad')).toEqual(model.tokenizers.source?.encode('bad'));
    expect(loaded.tokenizers.target?.decode([3, 4, 5])).toBe(model.tokenizers.target?.decode([3, 4, 5]));
    expect(loaded.training).toBe(false);

    const decoder = new Transformer(device, {
      dModel: 16,
      heads: 2,
      encoderLayers: 0,
      decoderLayers: 1,
      targetVocab: 9,
    });
    await decoder.save(path); // whose tokenizers must not become this one's
    expect((await readdir(path)).sort()).toEqual(['config.json', 'model.safetensors']);
  });

  it('accept Blobs, as pages get them from users, and refuse other values', async () => {
    const files = await model.toFiles();
    const blobs = Object.entries(files).map(([name, bytes]) => [name, new Blob([bytes as BlobPart])] as const);
    const again = await Transformer.fromFiles(device, Object.fromEntries(blobs));
    expect(again.parameters().map((tensor) => tensor.dataSync())).toEqual(
      model.parameters().map((tensor) => tensor.dataSync()),
    );
    again.dispose();
    const text = { ...files, 'model.safetensors': 'text' as unknown as Uint8Array };
    await expect(Transformer.fromFiles(device, text)).rejects.toThrow(/the file is "text", expected its bytes/);
  });

  it('keep the configs of tokenizers, without which generation would not know the end token', async () => {
    const roles = { bos_token: '<s>', eos_token: { content: '</s>' }, pad_token: '<s>' };
    const config = { ...roles, clean_up_tokenization_spaces: true };
    const json = { ...CharTokenizer.train('a .', { special }).toJSON(), padding: null, post_processor: null };
    const { source, target } = model.tokenizers;
    try {
      model.tokenizers = { source, target: await parseTokenizer(json, config) };
      const path = join(folder, 'configured');
      await model.save(path);
      for (const again of [
        await Transformer.load(device, path),
        await Transformer.fromFiles(device, await model.toFiles()),
      ]) {
        const { bosId, eosId, padId, ...others } = again.tokenizers.target!;
        expect([bosId, eosId, padId]).toEqual([1, 2, 1]);
        expect(others.config).toEqual(config);
        expect(again.tokenizers.target!.decode(again.tokenizers.target!.encode('a .'))).toBe('a.');
        expect(again.tokenizers.source?.config).toBeUndefined();
        again.dispose();
      }
      const files = await model.toFiles();
      const damaged = { format: 'simdformer', model: model.config, tokenizers: { target: 5 } };
      const broken = { ...files, 'config.json': new TextEncoder().encode(JSON.stringify(damaged)) };
      const refused = Transformer.fromFiles(device, broken);
      await expect(refused).rejects.toThrow(FormatError);
      await expect(refused).rejects.toThrow(/^target-tokenizer.json, or its part of config.json, is damaged/);
    } finally {
      model.tokenizers = { source, target };
    }
    expect(new TextDecoder().decode((await model.toFiles())['config.json'])).not.toContain('tokenizers');
  });

  it('restore weights of several pieces, from a folder, from memory, and as float16', async () => {
    // The generator's weights, which files hold transposed, are 1.3 million.
    const sizes = { dModel: 64, heads: 2, encoderLayers: 1, decoderLayers: 0, sourceVocab: 20_500 };
    const wide = new Transformer(device, { ...sizes, maxLength: 8 });
    const path = join(folder, 'wide');
    await wide.save(path);
    const before = device.memory().used;
    const [read, given] = [
      await Transformer.load(device, path),
      await Transformer.fromFiles(device, await wide.toFiles()),
    ];
    const halves = await Transformer.fromFiles(device, await wide.toFiles({ dtype: 'float16' }));
    for (const [name, { data }] of Object.entries(wide.stateDict())) {
      const expected = await data();
      const same = (values: Float32Array, bound: number) =>
        values.every((value, i) => Math.abs(value - expected[i]!) <= bound * (Math.abs(expected[i]!) + 2 ** -13));
      for (const model of [read, given]) expect(same(await model.stateDict()[name]!.data(), 0), name).toBe(true);
      expect(same(await halves.stateDict()[name]!.data(), 2 ** -11), name).toBe(true);
    }
    for (const model of [read, given, halves]) model.dispose();
    const weights = join(path, 'model.safetensors');
    await writeFile(weights, (await readFile(weights)).subarray(0, -4));
    await expect(Transformer.load(device, path)).rejects.toThrow(/model.safetensors is damaged/);
    await expect(Transformer.load(device, path, { signal: AbortSignal.abort(new Error('no')) })).rejects.toThrow('no');
    const controller = new AbortController() as never; // instead of its signal
    await expect(Transformer.load(device, path, { signal: controller })).rejects.toThrow(ArgumentError);
    expect(device.memory().used).toBe(before);
    wide.dispose();
  });

  it('report that the device was disposed of meanwhile', async () => {
    const brief = await createDevice({ threads: 1 });
    const norm = new LayerNorm(new Initializer(brief, 1), 2);
    const entry = {
      shape: [2],
      dtype: 'F32',
      data: () => Float32Array.of(1, 2),
      async *stream() {
        brief.dispose();
        yield Float32Array.of(1, 2);
      },
    };
    const reading = norm.readState(new Map(Object.entries({ weight: entry, bias: entry })));
    await expect(reading).rejects.toThrow(/^load: the device has already been disposed$/);
    await expect(reading).rejects.toThrow(DeviceError);
  });

  it('store float16 in half the bytes, with nearly the same values', async () => {
    const half = await model.toFiles({ dtype: 'float16' });
    const full = await model.toFiles();
    const weights = 'model.safetensors';
    expect((half[weights] as Uint8Array).length).toBeLessThan(0.8 * (full[weights] as Uint8Array).length);
    const loaded = await Transformer.fromFiles(device, half);
    const [a, b] = [await loaded.forward(source, target).data(), await model.eval().forward(source, target).data()];
    a.forEach((value, i) => {
      expect(Math.abs(value - (b[i] as number))).toBeLessThan(0.02);
    });
  });

  const config = (changes: object) => ({ ...model.config, ...changes });
  const damaged: Record<string, [what: () => unknown, cause: unknown]> = {
    null: [() => null, ArgumentError],
    'an array': [() => [], ArgumentError],
    'a number': [() => 5, ArgumentError],
    'nothing in it': [() => ({}), ArgumentError],
    'heads that do not divide': [() => config({ heads: 3 }), ArgumentError],
    'an unknown norm': [() => config({ norm: 'x' }), ArgumentError],
    'a frequency too few': [() => config({ positions: { kind: 'sinusoidal', frequencies: [1] } }), ArgumentError],
    'other positions': [() => config({ positions: 'learned' }), ArgumentError],
    'a length beyond all memory': [() => config({ maxLength: 1e9, positions: 'sinusoidal' }), OutOfMemoryError],
    'features beyond all memory': [() => config({ dFF: 1e9 }), ShapeError], // none is taken: the weights have others
    'encoder layers beyond all time': [() => config({ encoderLayers: 1e9 }), ArgumentError],
    'decoder layers beyond all time': [() => config({ decoderLayers: 1e9 }), ArgumentError],
  };

  it.each(Object.entries(damaged))('refuse a config.json that has, for a model, %s', async (_, [what, Cause]) => {
    const text = JSON.stringify({ format: 'simdformer', model: what() });
    const files = { ...(await model.toFiles()), 'config.json': new TextEncoder().encode(text) };
    const before = device.memory().used;
    const error = await Transformer.fromFiles(device, files).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(FormatError);
    expect((error as Error).message).toContain('config.json');
    expect((error as Error).cause).toBeInstanceOf(Cause);
    expect(device.memory().used).toBe(before);
  });

  it('name the wrong file', async () => {
    const path = join(folder, 'broken');
    await expect(Transformer.load(device, join(folder, 'nowhere'))).rejects.toThrow(/no config.json/);
    await model.save(path);
    const weights = join(path, 'model.safetensors');
    const bytes = await readFile(weights);
    await writeFile(weights, bytes.subarray(0, bytes.length - 4));
    await expect(Transformer.load(device, path)).rejects.toThrow(FormatError);
    const config = JSON.parse(await readFile(join(path, 'config.json'), 'utf8'));
    await writeFile(weights, bytes);
    await writeFile(join(path, 'config.json'), JSON.stringify({ ...config, model: { ...config.model, dFF: 32 } }));
    await expect(Transformer.load(device, path)).rejects.toThrow(/model.safetensors is not of the model/);
    const bert = JSON.stringify({ model_type: 'bert', architectures: ['BertModel'] });
    await writeFile(join(path, 'config.json'), bert);
    // Other libraries may use such names.
    await rename(join(path, 'model.safetensors'), join(path, 'model-00001-of-00002.safetensors'));
    const foreign = expect(Transformer.load(device, path)).rejects;
    await foreign.toThrow(FormatError);
    await foreign.toThrow(/of Hugging Face's transformers, a model of type "bert".*loadModel\(device, folder\)/);
    await writeFile(join(path, 'config.json'), '{');
    await expect(Transformer.load(device, path)).rejects.toThrow(/config.json is not JSON/);
  });
});
