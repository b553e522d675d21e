import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { ArgumentError, FormatError, HubError, SimdformerError } from '../../src/core/errors.js';
import { createDevice } from '../../src/index.js';
import { serializeSafetensors } from '../../src/io/safetensors.js';
import { loadModel } from '../../src/pretrained/load-later.js';
import { openSource } from '../../src/pretrained/open-source.js';
import type { ModelSource } from '../../src/pretrained/source.js';
import { openWeights, parseWeightIndex } from '../../src/pretrained/weights.js';
import { deviceFor, isas } from '../describe-op.js';

const config = Buffer.from('{"model_type": "bert", "architectures": ["BertModel"]}');
const pooling = Buffer.from('{"word_embedding_dimension": 384}');
const f32 = (...values: number[]) => ({
  dtype: 'F32' as const,
  shape: [values.length],
  data: Float32Array.from(values),
});

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'source-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function write(files: Record<string, Uint8Array | string>): void {
  for (const [name, data] of Object.entries(files)) {
    mkdirSync(join(folder, name, '..'), { recursive: true });
    writeFileSync(join(folder, name), data);
  }
}

/** The parts of a file that a page could read, in one. */
async function bytesOf(source: ModelSource, name: string): Promise<Uint8Array> {
  const file = await source.open(name);
  const bytes = new Uint8Array(file.size);
  await (file.readAsync?.(0, bytes) ?? file.read(0, bytes));
  file.close();
  return bytes;
}

const hostile = ['../config.json', '/etc/passwd', 'a/../../b', 'a\\b', 'C:b', '', '.', 'a//b', 'a/', 'a\0b'];

describe('openSource', () => {
  let server: Server;
  let address: string;
  beforeAll(async () => {
    server = createServer((request, response) => {
      const content = { '/m/config.json': config, '/m/1_Pooling/config.json': pooling }[request.url ?? ''];
      response.writeHead(content ? 200 : 404).end(content);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/m`;
  });
  afterAll(() => void server.close());

  const blob = (data: Buffer) => new Blob([data as Uint8Array<ArrayBuffer>]);
  const picked = (path: string, data: Buffer) => {
    const file = new File([data as Uint8Array<ArrayBuffer>], path.split('/').at(-1) as string);
    return Object.defineProperty(file, 'webkitRelativePath', { value: path });
  };
  const places: [string, () => Promise<ModelSource>][] = [
    ['a folder', () => openSource(folder)],
    ['the URL of a folder', () => openSource(pathToFileURL(folder))],
    ['an address', () => openSource(address)],
    ['a URL', () => openSource(new URL(`${address}/`))],
    ['bytes', () => openSource({ 'config.json': config, '1_Pooling/config.json': pooling })],
    [
      'a map',
      () =>
        openSource(
          new Map([
            ['config.json', blob(config)],
            ['1_Pooling/config.json', blob(pooling)],
          ]),
        ),
    ],
    [
      'what was picked',
      () => openSource([picked('m/config.json', config), picked('m/1_Pooling/config.json', pooling)]),
    ],
  ];
  it.each(places)('reads the files of %s', async (_, open) => {
    write({ 'config.json': config, '1_Pooling/config.json': pooling });
    const source = await open();
    expect([null, ['1_Pooling/config.json', 'config.json']]).toContainEqual((await source.list())?.toSorted() ?? null);
    expect(await source.has('config.json')).toBe(true);
    expect(await source.has('tokenizer.json')).toBe(false);
    expect(await source.json('config.json')).toEqual({ model_type: 'bert', architectures: ['BertModel'] });
    expect(await source.json('1_Pooling/config.json')).toEqual({ word_embedding_dimension: 384 });
    expect(Buffer.from(await source.bytes('config.json')).equals(config)).toBe(true);
    expect(Buffer.from(await bytesOf(source, 'config.json')).equals(config)).toBe(true);
    await expect(source.open('tokenizer.json')).rejects.toThrow(/has no tokenizer\.json/);
    for (const name of hostile) {
      await expect(source.open(name)).rejects.toThrow(FormatError);
      await expect(source.has(name)).rejects.toThrow(FormatError);
    }
  });

  it('prefers a folder to an id of the same name, as transformers does', async () => {
    write({ 'org/model/config.json': config });
    vi.stubEnv('HF_HUB_OFFLINE', '1');
    vi.stubEnv('HF_HOME', join(folder, 'home'));
    await expect(openSource('org/model')).rejects.toThrow(HubError);
    const id = relative(process.cwd(), join(folder, 'org/model'));
    expect(await (await openSource(id)).has('config.json')).toBe(true);
    expect(await (await openSource('src/core')).has('errors.ts')).toBe(true); // src/core could also be an id of the hub
    vi.unstubAllEnvs();
  });

  it('follows links, as in Hugging Face’s cache', async () => {
    write({ 'blobs/1': config, 'snapshot/1_Pooling/x': '' });
    symlinkSync('../blobs/1', join(folder, 'snapshot/config.json'));
    symlinkSync('../../blobs/1', join(folder, 'snapshot/1_Pooling/config.json'));
    const source = await openSource(join(folder, 'snapshot'));
    expect(await source.list()).toEqual(['1_Pooling/config.json', '1_Pooling/x', 'config.json']);
    expect(await source.json('1_Pooling/config.json')).toMatchObject({ model_type: 'bert' });
  });

  it('refuses other values', async () => {
    for (const from of ['./nowhere', '/nowhere/at/all', 'a/b/c', ''])
      await expect(openSource(from)).rejects.toThrow(
        /does not exist, expected an existing folder or GGUF file, a URL, or an id/,
      );
    const wrong: unknown[] = [undefined, null, 5, {}, [], { 'config.json': 'text' }, { '../x': config }, [config]];
    for (const from of wrong) await expect(openSource(from as string)).rejects.toThrow(SimdformerError);
    await expect(openSource({})).rejects.toThrow(ArgumentError);
    const same = [new File([], 'config.json'), new File([], 'config.json')];
    await expect(openSource(same)).rejects.toThrow(/two files config.json/);
    await expect(openSource(folder, { device: 1 } as object)).rejects.toThrow(/no option device/);
    await expect(openSource(folder, { signal: AbortSignal.abort(new Error('stop')) })).rejects.toThrow('stop');
  });

  it('names a file that is not JSON', async () => {
    write({ 'config.json': '{"a": 1', 'list.json': '[1]', 'latin1.json': Uint8Array.of(0x22, 0xe9, 0x22) });
    const source = await openSource(folder);
    await expect(source.json('config.json')).rejects.toThrow(/config\.json is not JSON in UTF-8/);
    await expect(source.json('latin1.json')).rejects.toThrow(/latin1\.json is not JSON in UTF-8/);
    await expect(source.json('list.json')).rejects.toThrow(/list\.json holds an array, expected an object/);
  });
});

describe('a Blob', () => {
  it('is read in parts, without a copy', async () => {
    const values = Float32Array.from({ length: 400_000 }, (_, i) => i);
    const data = serializeSafetensors({ big: { dtype: 'F32', shape: [values.length], data: values } });
    const content = new Blob([data as Uint8Array<ArrayBuffer>]);
    const weights = await openWeights(await openSource({ 'model.safetensors': content }));
    const entry = weights.tensors.get('big')!;
    let at = 0;
    for await (const part of entry.stream(new Uint8Array(80_000), 1, await deviceFor(isas[0] as string, 1))) {
      expect(part).toEqual(values.subarray(at, at + part.length));
      at += part.length;
    }
    expect(at).toBe(values.length);
    expect(() => entry.data()).toThrow(/cannot be read synchronously/);
  });
});

describe('openWeights', () => {
  const index = (map: unknown) => JSON.stringify({ metadata: { total_size: 0 }, weight_map: map });
  const one = 'model-00001-of-00002.safetensors';
  const two = 'model-00002-of-00002.safetensors';

  it('reads one file, and prefers it to shards', async () => {
    write({
      'model.safetensors': serializeSafetensors({ a: f32(1) }, { format: 'pt' }),
      'model.safetensors.index.json': '[]',
    });
    const weights = await openWeights(await openSource(folder));
    expect(weights.tensors.get('a')!.data()).toEqual(Float32Array.of(1));
    expect([...weights.metadata]).toEqual([['format', 'pt']]);
    weights.close();
    expect(() => weights.tensors.get('a')!.data()).toThrow(/closed/);
  });

  it('reads shards as one map, and resolves duplicates by the index', async () => {
    write({
      'model.safetensors.index.json': index({ b: two, a: one, c: two }),
      [one]: serializeSafetensors({ a: f32(1), c: f32(9), stray: f32(4) }),
      [two]: serializeSafetensors({ b: f32(2), c: f32(3) }),
    });
    const weights = await openWeights(await openSource(folder));
    const values = [...weights.tensors].map(([name, entry]) => [name, ...(entry.data() as Float32Array)]);
    expect(values).toEqual([
      ['b', 2],
      ['a', 1],
      ['c', 3],
      ['stray', 4],
    ]);
    weights.close();
  });

  it('names missing files', async () => {
    const full = { 'model.safetensors.index.json': index({ a: one, b: two, c: two }) };
    write({ ...full, [one]: serializeSafetensors({ a: f32(1) }) });
    await expect(openWeights(await openSource(folder))).rejects.toThrow(/lacks 1 of 2 files .*model-00002-of-00002/);
    write({ [two]: serializeSafetensors({ b: f32(2) }) });
    await expect(openWeights(await openSource(folder))).rejects.toThrow(
      /lacks 1 tensors .*"c" in model-00002-of-00002/,
    );
    write({ [two]: 'no safetensors' });
    await expect(openWeights(await openSource(folder))).rejects.toThrow(/model-00002-of-00002.safetensors: the header/);
    write({
      'model.safetensors.index.json': index({ a: one, b: two }),
      [one]: serializeSafetensors({ a: f32(1), x: f32(1) }),
      [two]: serializeSafetensors({ b: f32(2), x: f32(2) }),
    });
    await expect(openWeights(await openSource(folder))).rejects.toThrow(/"x" is in several files/);
  });

  const refused: [string, string, RegExp][] = [
    ['a list', '[]', /holds an array/],
    ['no map', '{}', /weight_map is undefined/],
    ['an empty map', '{"weight_map": {}}', /is empty/],
    ['half of it', '{"weight_map": {"a"', /not JSON/],
    ['a number for a file', index({ a: 1 }), /"a" lies in 1/],
    ['a tensor twice', `{"weight_map": {"a": "${one}", "a": "${two}"}}`, /the key "a" twice/],
    ['a map twice', `{"weight_map": {"a": "${one}"}, "weight_map": {"a": "${two}"}}`, /the key "weight_map" twice/],
    ...[
      '../x.safetensors',
      '/x.safetensors',
      'a/b.safetensors',
      'a\\b.safetensors',
      'C:b.safetensors',
      'x.bin',
      '',
      '.safetensors\0',
    ].map((file): [string, string, RegExp] => [
      `the file ${JSON.stringify(file)}`,
      index({ a: file }),
      /"a" lies in|is not the name/,
    ]),
  ];
  it.each(refused)('refuses an index with %s', (_, json, message) => {
    const parse = () => parseWeightIndex(new TextEncoder().encode(json));
    expect(parse).toThrow(message);
    expect(parse).toThrow(FormatError);
  });

  it('keeps names of Object.prototype as plain names', () => {
    const map = parseWeightIndex(new TextEncoder().encode(`{"weight_map": {"__proto__": "${one}"}}`));
    expect([...map]).toEqual([['__proto__', one]]);
  });

  it('refuses unsupported formats with the command that converts them', async () => {
    write({ 'config.json': config, 'flax_model.msgpack': '' });
    const command = `python -c "from transformers import BertModel as M; M.from_pretrained('${folder}', from_flax=True).save_pretrained('folder')"`;
    await expect(openWeights(await openSource(folder))).rejects.toThrow(command);
    await expect(openWeights(await openSource({ 'config.json': config }))).rejects.toThrow(/has no weights/);
  });

  it('uses ONNX if there are no other weights, and needs a config', async () => {
    write({ 'config.json': config, 'onnx/model_quantized.onnx': '' });
    await expect(openWeights(await openSource(folder))).rejects.toThrow(/onnx\/model_quantized.onnx: .* no graph/);
    const device = await createDevice();
    await expect(loadModel(device, { 'model.onnx': new Uint8Array(1) })).rejects.toThrow(/has no config.json/);
    device.dispose();
  });
});
