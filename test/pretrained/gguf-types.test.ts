// GGUF files of every type of block: tensors have the bits of ggml, blocks stay packed, logits are transformers'.
import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseGguf } from '../../src/io/gguf.js';
import { parseSafetensors } from '../../src/io/safetensors.js';
import { packables } from '../../src/models/quantize.js';
import { PackedWeight } from '../../src/nn/index.js';
import { floatsOfBlocks } from '../../src/ops/packed.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';
import { assertClose, largest } from '../tolerance.js';

type Described = Readonly<Record<string, { readonly type: string; readonly sha256: string }>>;
interface Prompts {
  readonly prompts: readonly { ids: number[] }[];
}

const data = testData('gguf3');
const device = await deviceFor(isas[0] as string, 2);
/** Of the largest logit: products of float32 against float64. */
const LOGITS = 1e-3;

const formatOf = (type: string) => [...device.formats.values()].find(({ ggufName }) => ggufName === type);
const files = await Promise.all(
  readdirSync(data.path)
    .filter((file) => file.endsWith('.gguf'))
    .map(async (file) => ({ name: file.slice(0, -'.gguf'.length), bytes: await data.bytes(file) })),
);
const isRead = ({ bytes }: { bytes: Uint8Array }) =>
  [...parseGguf(bytes).tensors.values()].every(({ type }) => type === 'F32' || formatOf(type) !== undefined);

it('there are files of these types', () => {
  const read = files.filter(isRead).map(({ name }) => name.split('.')[1]);
  expect(read).toEqual(expect.arrayContaining(['IQ4_NL', 'IQ4_XS', 'Q2_K', 'Q3_K_M', 'MXFP4', 'NVFP4', 'TQ2_0']));
});

describe.each(files.filter(isRead))('$name', ({ name, bytes }) => {
  it('tensors have the bits of ggml', async () => {
    const described = await data.json<Described>(`${name}.json`);
    for (const [tensor, { type, shape, position, byteLength }] of parseGguf(bytes).tensors) {
      const format = formatOf(type);
      if (format === undefined) continue;
      const blocks = bytes.slice(position, position + byteLength);
      const values = await floatsOfBlocks(device, format.name, shape as [number, number], blocks);
      const digest = createHash('sha256').update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
      expect(digest.digest('hex'), `${tensor}, ${type}`).toBe(described[tensor]!.sha256);
    }
  });

  it('blocks stay packed, and logits are those of the unpacked file', async () => {
    const before = device.memory().used;
    const model = await loadModel(device, new Blob([bytes]), { activations: 'float32' });
    const formats = new Set(packables(model).map(({ weight }) => weight instanceof PackedWeight));
    expect(formats).toEqual(new Set([true]));
    const { prompts } = await data.json<Prompts>(`${name}.json`);
    const { tensors } = parseSafetensors(await data.bytes(`${name}.safetensors`));
    for (const [i, { ids }] of prompts.entries()) {
      const expected = tensors.get(`logits.${i}`)!.data() as Float32Array;
      const got = device.scope(() => model.forward({ inputIds: [ids] }).logits!.dataSync()) as Float32Array;
      const bound = LOGITS * largest(expected);
      assertClose(`${name} logits.${i}`, got, expected, () => bound);
    }
    model.dispose();
    expect(device.memory().used).toBe(before);
  });
});

it.each(files.filter((file) => !isRead(file)))('$name is refused by its type', async ({ bytes }) => {
  await expect(loadModel(device, new Blob([bytes]))).rejects.toThrow(
    /tensor ".*" is of type \w+, which is not read: expected one of F32 F16 BF16/,
  );
});
