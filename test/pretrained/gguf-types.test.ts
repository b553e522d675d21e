// GGUF files of every type of block: tensors have the bits of ggml, blocks stay packed, logits are transformers'.
import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseGguf } from '../../src/io/gguf.js';
import { parseSafetensors } from '../../src/io/safetensors.js';
import { packables } from '../../src/models/quantize.js';
import { PackedWeight } from '../../src/nn/index.js';
import { floatsOfBlocks } from '../../src/ops/packed.js';
import { CONVERTED, isConverted } from '../../src/pretrained/gguf/converted-names.js';
import { unpacked } from '../../src/pretrained/gguf/converted-types.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';
import { assertClose, largest } from '../tolerance.js';

type Described = Readonly<Record<string, { readonly type: string; readonly sha256: string }>>;
interface Prompts {
  readonly prompts: readonly { ids: number[] }[];
}

const data = testData('gguf/types');
const device = await deviceFor(isas[0] as string, 2);
/** Relative to the largest logit: products in float32 compared with float64. */
const LOGITS = 1e-3;
/** Same for weights that became halves, each rounded by up to 2⁻¹¹. */
const HALVES = 4e-3;

const formatOf = (type: string) => [...device.formats.values()].find(({ ggufName }) => ggufName === type);
const files = await Promise.all(
  readdirSync(data.path)
    .filter((file) => file.endsWith('.gguf'))
    .map(async (file) => ({ name: file.slice(0, -'.gguf'.length), bytes: await data.bytes(file) })),
);

it('has files of these types', () => {
  const read = files.map(({ name }) => name.split('.')[1]);
  const packed = ['IQ4_NL', 'IQ4_XS', 'Q2_K', 'Q3_K_M', 'MXFP4', 'NVFP4', 'TQ2_0'];
  const converted = ['IQ1_M', 'IQ1_S', 'IQ2_S', 'IQ2_XS', 'IQ2_XXS', 'IQ3_S', 'IQ3_XXS', 'TQ1_0'];
  expect(read).toEqual(expect.arrayContaining([...packed, ...converted]));
});

describe.each(files)('$name', ({ name, bytes }) => {
  it('has tensors with the bits of ggml', async () => {
    const described = await data.json<Described>(`${name}.json`);
    for (const [tensor, { type, shape, position, byteLength }] of parseGguf(bytes).tensors) {
      const format = formatOf(type);
      if (format === undefined && !isConverted(type)) continue;
      const blocks = bytes.slice(position, position + byteLength);
      const values = isConverted(type)
        ? unpacked(type, blocks)
        : await floatsOfBlocks(device, format!.name, shape as [number, number], blocks);
      const digest = createHash('sha256').update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
      expect(digest.digest('hex'), `${tensor}, ${type}`).toBe(described[tensor]!.sha256);
    }
  });

  it('keeps blocks packed, and gives the logits of the unpacked file', async () => {
    const before = device.memory().used;
    const warnings: string[] = [];
    const onWarning = (message: string) => void warnings.push(message);
    const model = await loadModel(device, new Blob([bytes]), { activations: 'float32', onWarning });
    const formats = new Set(packables(model).map(({ weight }) => weight instanceof PackedWeight));
    expect(formats).toEqual(new Set([true]));
    const types = new Set([...parseGguf(bytes).tensors.values()].map(({ type }) => type).filter(isConverted));
    expect(warnings.filter((text) => text.includes('in memory is'))).toHaveLength(types.size > 0 ? 1 : 0);
    for (const type of types) expect(warnings.join()).toContain(`${type} as ${CONVERTED[type].format}`);
    const { prompts } = await data.json<Prompts>(`${name}.json`);
    // Both ternary types hold the same weights.
    const { tensors } = parseSafetensors(await data.bytes(`${name.replace('TQ2_0', 'TQ1_0')}.safetensors`));
    for (const [i, { ids }] of prompts.entries()) {
      const expected = tensors.get(`logits.${i}`)!.data() as Float32Array;
      const got = device.scope(() => model.forward({ inputIds: [ids] }).logits!.dataSync()) as Float32Array;
      const isRounded = [...types].some((type) => CONVERTED[type].format === 'float16');
      const bound = (isRounded ? HALVES : LOGITS) * largest(expected);
      assertClose(`${name} logits.${i}`, got, expected, () => bound);
    }
    model.dispose();
    expect(device.memory().used).toBe(before);
  });
});

it.each(files.filter(({ name }) => /IQ|TQ1/.test(name)))(
  '$name as float32 has the bits of ggml in the model',
  async (file) => {
    const described = await data.json<Described>(`${file.name}.json`);
    const model = await loadModel(device, new Blob([file.bytes]), { weights: 'float32', onWarning: () => {} });
    const { data: read } = model.stateDict()['model.layers.0.mlp.down_proj.weight']!;
    const digest = createHash('sha256').update(new Uint8Array((await read()).buffer));
    expect(digest.digest('hex')).toBe(described['blk.0.ffn_down.weight']!.sha256);
    model.dispose();
  },
);

it('refuses an unsupported type by name', async () => {
  const { bytes } = files.find(({ name }) => name.endsWith('TQ1_0'))!;
  const other = bytes.slice();
  const view = new DataView(other.buffer);
  // The type of the first matrix, 34, becomes 15: Q8_K, which only sums of products use.
  const name = 'blk.0.attn_k.weight';
  const at = new TextDecoder('latin1').decode(other).indexOf(name) + name.length + 4 + 2 * 8;
  expect(view.getUint32(at, true)).toBe(34);
  view.setUint32(at, 15, true);
  await expect(loadModel(device, new Blob([other]))).rejects.toThrow(/Q8_K|overlap|beyond|bytes/);
});
