// GGUF files in parts, written by the package gguf.
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { FormatError } from '../../src/core/errors.js';
import { partNames } from '../../src/pretrained/gguf/split.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';

const parts = testData('gguf/parts');
const device = await deviceFor(isas[0] as string, 2);
const temporary = mkdtempSync(join(tmpdir(), 'simdformer-split-'));
afterAll(() => rmSync(temporary, { recursive: true }));
const names = [1, 2, 3].map((i) => `qwen3-0000${i}-of-00003.gguf`);

async function logits(from: Parameters<typeof loadModel>[1]): Promise<Float32Array> {
  const model = await loadModel(device, from, { onWarning: () => {} });
  const found = device.scope(() => model.forward({ inputIds: [[1, 2, 3, 4]] }).logits!.dataSync()) as Float32Array;
  const own = found.slice();
  model.dispose();
  return own;
}

describe('a GGUF file in parts', () => {
  it('gives the bits of the whole file, by any part, by its folder, and by its files', async () => {
    const whole = await logits('test/data/gguf/types/qwen3.TQ1_0.gguf');
    for (const name of names) expect(await logits(join(parts.path, name))).toEqual(whole);
    expect(await logits(parts.path)).toEqual(whole);
    const files = Object.fromEntries(await Promise.all(names.map(async (name) => [name, await parts.bytes(name)])));
    expect(await logits(files)).toEqual(whole);
  });

  it('needs all parts in the right order', async () => {
    const [first, second] = names as [string, string];
    await expect(logits(new Blob([await parts.bytes(first)]))).rejects.toThrow(/one of 3 parts, but 1 were given/);
    symlinkSync(resolve(parts.path, first), join(temporary, first));
    const missing = logits(join(temporary, first));
    await expect(missing).rejects.toThrow(FormatError);
    await expect(missing).rejects.toThrow(
      /qwen3-00002-of-00003.gguf, another part of this file, is not in the same folder/,
    );
    for (const name of [second, names[2] as string]) symlinkSync(resolve(parts.path, second), join(temporary, name));
    await expect(logits(join(temporary, first))).rejects.toThrow(/part 3 has the number 2 of 3/);
    const alone = join(temporary, 'alone-00001-of-00002.gguf');
    symlinkSync(resolve('test/data/gguf/types/qwen3.TQ1_0.gguf'), alone);
    writeFileSync(join(temporary, 'alone-00002-of-00002.gguf'), await parts.bytes(second));
    await expect(logits(alone)).rejects.toThrow(/not part of a file, but its name says that there are 2/);
  });

  it('is recognized by its name', () => {
    expect(partNames('a-00002-of-00002.gguf')).toEqual(['a-00001-of-00002.gguf', 'a-00002-of-00002.gguf']);
    for (const name of ['a.gguf', 'a-00001-of-00001.gguf', 'a-1-of-2.gguf']) expect(partNames(name)).toBe(null);
  });
});
