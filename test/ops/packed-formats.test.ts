// Packed formats: blocks unpack to ggml's bits, and are made with them. Sizes and types of GGUF agree on both sides.
import { describe, expect, it } from 'vitest';
import { type GgmlType, ggmlLayouts, ggmlNumberOf } from '../../src/io/ggml-types.js';
import { blocksOfFloats, floatsOfBlocks } from '../../src/ops/packed.js';
import { fileTypes } from '../../src/pretrained/gguf/file-types.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';

interface Vectors {
  x: string;
  types: Record<string, { bytes_b64: string; dequant_b64_f32: string }>;
}
const bytesOf = (base64: string) => Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
const vectors = await testData('checkpoints/ggml-quant-vectors').json<Vectors>('vectors.json');
const x = new Float32Array(bytesOf(vectors.x).buffer);

describe.each(isas)('%s', (isa) => {
  it('unpacks blocks to the bits of ggml', async () => {
    const device = await deviceFor(isa, 2);
    const before = device.memory().used;
    const compared: string[] = [];
    for (const [name, { bytes_b64, dequant_b64_f32 }] of Object.entries(vectors.types)) {
      const format = device.formats.get(name.toLowerCase());
      if (format === undefined) continue;
      const bytes = bytesOf(bytes_b64);
      const rows = bytes.length / format.blockBytes;
      const values = await floatsOfBlocks(device, format.name, [rows, format.inputs], bytes);
      expect(new Uint8Array(values.buffer, 0, values.byteLength), name).toEqual(bytesOf(dequant_b64_f32));
      compared.push(format.name);
    }
    expect(compared).toEqual(expect.arrayContaining(['q8_0', 'q4_0', 'q4_1', 'q5_0', 'q5_1', 'q4_k', 'q5_k', 'q6_k']));
    expect(device.memory().used).toBe(before);
  });

  it.each(['q8_0', 'q4_0', 'q4_1'])('makes the blocks of ggml: %s', async (name) => {
    const device = await deviceFor(isa, 2);
    const rows = x.length / 32;
    expect(await blocksOfFloats(device, name, [rows, 32], x)).toEqual(bytesOf(vectors.types[name]!.bytes_b64));
  });
});

it('GGUF types have the sizes and numbers of the engine', async () => {
  const { formats } = await deviceFor(isas[0] as string, 1);
  const named = [...formats.values()].filter(({ ggufName }) => ggufName !== undefined);
  expect(named.length).toBeGreaterThan(9);
  for (const { ggufName, ggufType, inputs, blockBytes } of named) {
    const { elements, bytes } = ggmlLayouts[ggufName as GgmlType];
    expect([ggmlNumberOf(ggufName as GgmlType), bytes / elements], ggufName).toEqual([ggufType, blockBytes / inputs]);
    if (elements > 1) expect(elements, ggufName).toBe(inputs); // halves have no blocks of their own in files
  }
  const made = named.filter((format) => format.made).map(({ ggufName }) => ggufName?.toLowerCase());
  expect(made).toEqual(expect.arrayContaining(Object.keys(fileTypes)));
});

it('refuses an unknown format by name', async () => {
  const device = await deviceFor(isas[0] as string, 1);
  await expect(floatsOfBlocks(device, 'q9_9', [1, 32], new Uint8Array(4))).rejects.toThrow(/"q9_9", expected .*q4_k/);
});
