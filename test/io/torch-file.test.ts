// Files of torch.save in test/data/formats/bin: every tensor has the bytes that torch reads, and hostile files are refused.
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { expect, it } from 'vitest';
import { FormatError } from '../../src/core/errors.js';
import { inMemory } from '../../src/io/byte-source.js';
import { type OpenFile, openFileOf } from '../../src/io/file.js';
import type { SafetensorsEntry } from '../../src/io/safetensors.js';
import { readTorchFile } from '../../src/io/torch-file.js';
import { blobFile } from '../../src/pretrained/blob-file.js';
import { openSource } from '../../src/pretrained/open-source.js';
import { openWeights } from '../../src/pretrained/weights.js';
import { testData } from '../test-data.js';

const data = testData('formats/bin');

interface Case {
  readonly tensors: Readonly<Record<string, readonly [dtype: string, shape: readonly number[], sha: string]>>;
}
interface Hostile {
  readonly refuse: boolean | 'either';
  readonly why: string;
}

const { cases } = await data.json<{ cases: Readonly<Record<string, Case>> }>('expected.json');
const { files: hostile } = await data.json<{ files: Readonly<Record<string, Hostile>> }>('hostile/expected.json');

const DTYPES: Readonly<Record<string, string>> = {
  float64: 'F64',
  float32: 'F32',
  float16: 'F16',
  bfloat16: 'BF16',
  bool: 'BOOL',
  int64: 'I64',
  int32: 'I32',
  int16: 'I16',
  int8: 'I8',
  uint8: 'U8',
};

/** The bytes of a tensor, read in parts that do not fit its rows. */
async function bytesIn(entry: SafetensorsEntry): Promise<Uint8Array> {
  const all = new Uint8Array(entry.byteLength);
  const step = 8 * 13;
  for (let at = 0; at < all.length; at += step)
    await entry.readAsync(all.subarray(at, Math.min(at + step, all.length)), at);
  return all;
}

const checkpoint = (name: string) => readdirSync(`${data.path}/${name}`).filter((file) => file.endsWith('.bin'));
const folderOf = (name: string) => (existsSync(`${data.path}/${name}/adapter`) ? `${name}/adapter` : name);

/** A file as a page, as Node, and as a caller with bytes have it. */
const places: Readonly<Record<string, (folder: string, file: string) => Promise<OpenFile>>> = {
  path: async (folder, file) => (await openFileOf(folder, file)) as OpenFile,
  memory: async (folder, file) => ({ ...inMemory(readFileSync(`${folder}/${file}`)), close() {} }),
  // A Blob of more than a megabyte can only be read asynchronously.
  blob: async (folder, file) => withoutSync(await blobFile(file, new Blob([readFileSync(`${folder}/${file}`)]))),
};

function withoutSync({ view: _, ...file }: OpenFile): OpenFile {
  const { read } = file;
  return {
    ...file,
    read: () => expect.unreachable('a Blob is read asynchronously'),
    readAsync: async (position, into) => read(position, into),
  };
}

it.each(Object.keys(cases).flatMap((name) => Object.keys(places).map((place) => [name, place])))(
  '%s has the tensors that torch reads, from %s',
  async (name, place) => {
    const { tensors } = cases[name] as Case;
    const folder = folderOf(name);
    const found = new Map<string, SafetensorsEntry>();
    for (const file of checkpoint(folder)) {
      const opened = await (places[place] as (typeof places)[string])(`${data.path}/${folder}`, file);
      for (const [key, entry] of (await readTorchFile(opened)).tensors) found.set(key, entry);
    }
    const read: Record<string, unknown> = {};
    for (const [key, entry] of found) {
      const sha = createHash('sha256')
        .update(await bytesIn(entry))
        .digest('hex');
      read[key] = [entry.dtype, entry.shape, sha];
    }
    const expected = Object.entries(tensors).map(([key, [dtype, shape, sha]]) => [key, [DTYPES[dtype], shape, sha]]);
    expect(read).toEqual(Object.fromEntries(expected));
  },
);

/** Opens a hostile file as a model's weights and reads all of its tensors. */
async function readAll(name: string): Promise<Map<string, readonly number[]>> {
  const path = `${data.path}/hostile/${name}`;
  const isFolder = statSync(path).isDirectory();
  const source = await openSource(isFolder ? path : { 'pytorch_model.bin': readFileSync(path) });
  const { tensors, close } = await openWeights(source);
  const values = new Map<string, readonly number[]>();
  for (const [key, entry] of tensors) values.set(key, Array.from(await entry.data()));
  close();
  return values;
}

const named = Object.entries(hostile);

it.each(named.filter(([, { refuse }]) => refuse === true))('refuses %s with a reason', async (name) => {
  const before = process.memoryUsage.rss();
  const error: unknown = await readAll(name).catch((reason) => reason);
  expect(error).toBeInstanceOf(FormatError);
  expect(existsSync('should-not-exist')).toBe(false);
  expect(process.memoryUsage.rss() - before).toBeLessThan(300e6);
});

it.each(named.filter(([, { refuse }]) => refuse === 'either'))('refuses or reads %s', async (name) => {
  const values = await readAll(name).catch((error) => {
    expect(error).toBeInstanceOf(FormatError);
    return null;
  });
  if (values?.has('w') && name === 'big-endian.bin') expect(values.get('w')).toEqual([1, 2, 3, 4, 5, 6]);
});

const SOUND: Readonly<Record<string, Readonly<Record<string, readonly number[]>>>> = {
  'ok-zip.bin': { w: [1, 2, 3, 4, 5, 6] },
  'ok-legacy.bin': { w: [1, 2, 3, 4, 5, 6] },
  'ok-stride-zero.bin': { w: [1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3] },
  'ok-zero-size.bin': { w: [] },
  'ok-overlap.bin': { w: [1, 2, 3, 2, 3, 4, 3, 4, 5, 4, 5, 6] },
  'ok-memo.bin': { a: [1, 2, 3, 4, 5, 6], b: [1, 2, 3, 4, 5, 6] },
};

it.each(named.filter(([, { refuse }]) => refuse === false))('reads %s, which is valid', async (name) => {
  const values = await readAll(name);
  const expected = SOUND[name];
  if (expected !== undefined) expect(Object.fromEntries(values)).toEqual(expected);
  // The other file has names that are special in JavaScript.
  else expect([...values.keys()]).toEqual(expect.arrayContaining(['__proto__', 'constructor', 'hasOwnProperty']));
  expect(Object.keys(Object.prototype)).toEqual([]);
});

it.each([
  ['call-popen.bin', /"subprocess.Popen", which is refused/],
  ['stack-global.bin', /"posix.system"/],
  ['inst.bin', /"posix.system"/],
  ['unknown-class-newobj.bin', /save model.state_dict\(\)/],
  ['text.bin', /Git LFS pointer/],
  ['html.bin', /page of HTML/],
  ['torchscript.bin', /TorchScript/],
  ['tar.bin', /tar archive/],
  ['crc-data.bin', /"archive\/data\/0" is damaged/],
])('reports %s', async (name, message) => {
  await expect(readAll(name)).rejects.toThrow(message);
});

const extra =
  await data.json<Readonly<Record<string, string | Readonly<Record<string, number[][]>>>>>('extra/expected.json');

it.each(Object.entries(extra))(
  '%s: attributes, dicts in dicts, no CRC, other kinds of tensors',
  async (name, expected) => {
    const values = readAll(`../extra/${name}.bin`);
    if (typeof expected === 'string') await expect(values).rejects.toThrow(expected);
    else
      expect(Object.fromEntries(await values)).toEqual(
        Object.fromEntries(Object.entries(expected).map(([key, rows]) => [key, rows.flat()])),
      );
  },
);
