// Rarer layouts of quantized weights: bits, groups, orders, scales and blocks that test/data/formats/quantized lacks.
// make_layouts.py wrote layouts.json. Values have the bits of the libraries' formulas,
// also as blocks of a packed format.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { parseSafetensors, type SafetensorsArray, serializeSafetensors } from '../../src/io/safetensors.js';
import { floatsOfBlocks } from '../../src/ops/packed.js';
import { dequantizing } from '../../src/pretrained/quantized/index.js';
import { deviceFor, isas } from '../describe-op.js';

interface Case {
  readonly config: Readonly<Record<string, unknown>>;
  readonly tensors: Readonly<
    Record<
      string,
      { readonly dtype: SafetensorsArray['dtype']; readonly shape: readonly number[]; readonly data: string }
    >
  >;
  readonly shape: readonly [number, number];
  readonly sha256: string;
}
const cases = JSON.parse(readFileSync(fileURLToPath(new URL('layouts.json', import.meta.url)), 'utf8')) as Readonly<
  Record<string, Case>
>;

/** Digest of values without negative zeros. */
function digest(values: Float32Array): string {
  const plain = values.map((value) => value + 0);
  return createHash('sha256').update(new Uint8Array(plain.buffer)).digest('hex');
}

/** Formats in memory of cases that stay packed. All others become float32. */
const KEPT: Readonly<Record<string, string>> = {
  'GPTQ, 2 bits': 'uint4',
  'GPTQ, 3 bits': 'uint4',
  'GPTQ, 3 bits, version 2': 'uint4',
  'GPTQ, 4 bits, zero points from 0 on': 'uint4',
  'GPTQ, 4 bits, one group, symmetric, bfloat16': 'uint4',
  'GPTQ, 4 bits, groups that do not divide the inputs': 'uint4',
  'GPTQ, 4 bits in a file of 8 bits': 'uint4',
  'AWQ, one group, bfloat16': 'uint4',
  "AWQ, groups of 64, keys of AutoAWQ's older files": 'uint4',
  'compressed-tensors, 2 bits': 'uint4',
  'compressed-tensors, 3 bits': 'uint4',
  'compressed-tensors, 3 bits with zero points': 'uint4',
  'compressed-tensors, 4 bits for a tensor': 'uint4',
  'compressed-tensors, int8 of 96 inputs': 'int8',
  'compressed-tensors, MXFP4': 'mxfp4',
};

it.each(Object.keys(cases))('%s', async (name) => {
  const { config, tensors: stored, shape, sha256 } = cases[name] as Case;
  const arrays = Object.entries(stored).map(([key, { data, ...entry }]) => {
    return [key, { ...entry, data: new Uint8Array(Buffer.from(data, 'base64')) }] as const;
  });
  const { tensors } = parseSafetensors(serializeSafetensors(new Map<string, SafetensorsArray>(arrays)));
  const known = Object.fromEntries(Object.entries(config).filter(([, value]) => value !== null));
  const weights = await dequantizing({ tensors, metadata: new Map(), close() {} }, known);
  expect([...weights.tensors.keys()]).toEqual(['m.weight']);
  const weight = weights.tensors.get('m.weight')!;
  expect(weight.shape).toEqual(shape);
  expect(digest((await weight.data()) as Float32Array)).toBe(sha256);
  const device = await deviceFor(isas.at(-1) as string, 1);
  const blocks = weight.blocks?.(device);
  expect(blocks?.format).toBe(KEPT[name]);
  if (blocks === undefined) return;
  const { inputs, blockBytes, rowHead } = device.formats.get(blocks.format)!;
  const bytes = new Uint8Array(shape[0] * (rowHead + Math.ceil(shape[1] / inputs) * blockBytes));
  await blocks.read(bytes, 0);
  expect(digest(await floatsOfBlocks(device, blocks.format, shape, bytes))).toBe(sha256);
});

it.each([
  ['GPTQ for Marlin', 'GPTQ, 3 bits', { checkpoint_format: 'marlin' }, /"marlin" is not read, expected gptq, gptq_v2/],
  [
    'AWQ whose weights have another layout',
    'AWQ, one group, bfloat16',
    { version: null, backend: 'llm-awq' },
    /qweight is I32 .*, expected I16/,
  ],
  [
    'sparse weights',
    'compressed-tensors, 3 bits',
    { sparsity_config: { format: 'sparse-24-bitmask' } },
    /sparse format "sparse-24-bitmask" is not read/,
  ],
  [
    'rotations of activations',
    'compressed-tensors, 3 bits',
    { transform_config: { config_groups: { u: { type: 'hadamard' } } } },
    /transform_config is not read/,
  ],
  ['an unknown format', 'compressed-tensors, 3 bits', { format: 'marlin-24' }, /"marlin-24" is not read/],
])('refuses %s', async (_, name, config, message) => {
  const { config: own, tensors: stored } = cases[name] as Case;
  const arrays = Object.entries(stored).map(([key, { data, ...entry }]) => {
    return [key, { ...entry, data: new Uint8Array(Buffer.from(data, 'base64')) }] as const;
  });
  const { tensors } = parseSafetensors(serializeSafetensors(new Map<string, SafetensorsArray>(arrays)));
  const all = Object.entries({ ...own, ...config }).filter(([, value]) => value !== null);
  const reading = dequantizing({ tensors, metadata: new Map(), close() {} }, Object.fromEntries(all));
  await expect(reading).rejects.toThrow(message);
});
