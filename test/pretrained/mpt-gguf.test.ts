// GGUF files of MPT: names of gguf-py (make_gguf_names.py), settings of llama.cpp's converter, and the same results.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { parseGguf } from '../../src/io/gguf.js';
import type { PretrainedModel } from '../../src/models/pretrained-model.js';
import { saveGguf } from '../../src/pretrained/index.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { assertClose, largest } from '../tolerance.js';
import known from './gguf-names.json' with { type: 'json' };
import { loadVariant, variants } from './variant.js';

const device = await deviceFor(isas.at(-1) as string, 2);
const folder = mkdtempSync(join(tmpdir(), 'mpt-'));
afterAll(() => rmSync(folder, { recursive: true }));
const path = join(folder, 'model.gguf');
const caseOf = (name: string) => variants.find((each) => each.name === name)!;
const logitsOf = (model: PretrainedModel) =>
  model.forward({ inputIds: [[3, 4, 5, 6, 7]] }).logits!.dataSync() as Float32Array;

it('a saved file has the names and settings of llama.cpp, and computes the same', async () => {
  using model = await loadVariant(device, caseOf('MPT with norms of queries and keys'));
  await saveGguf(model, path);
  const { tensors, metadata } = parseGguf(readFileSync(path));
  const names = Object.values(known.mpt.names).map((name) => name.replace('*', '0'));
  expect([...tensors.keys()].sort()).toEqual(names.sort());
  expect(metadata.get('general.architecture')).toBe('mpt');
  expect(metadata.get('mpt.attention.max_alibi_bias')).toBe(4);
  expect(metadata.get('mpt.attention.clamp_kqv')).toBe(0);
  using again = await loadModel(device, path, { weights: 'float32' });
  expect(again.config.attn_config).toEqual({ clip_qkv: null, alibi_bias_max: 4, qk_ln: true });
  const expected = logitsOf(model);
  assertClose('logits', logitsOf(again), expected, () => 5e-3 * largest(expected));
});

it('a scale of scores, which llama.cpp ignores, is refused', async () => {
  using model = await loadVariant(device, caseOf('MPT with clipped projections'));
  await expect(saveGguf(model, path)).rejects.toThrow('softmax_scale is 0.7, expected null');
});

it.each([
  [{ no_bias: false }, 'no_bias is false, expected true'],
  [{ attn_config: { alibi: false } }, 'alibi is false, expected true'],
  [{ attn_config: { attn_type: 'multiquery_attention' } }, 'attn_type is'],
  [{ logit_scale: 0.5 }, 'logit_scale is 0.5'],
] as const)('%j, which transformers does not compute, is refused', async (settings, message) => {
  const { config, ...rest } = caseOf("MPT's answers");
  await expect(loadVariant(device, { ...rest, config: { ...config, ...settings } })).rejects.toThrow(message);
});

it('clip_qkv of 0 limits nothing, as in transformers', async () => {
  const { config, ...rest } = caseOf('MPT with clipped projections');
  const logits = async (clip: number | null) => {
    using model = await loadVariant(device, { ...rest, config: { ...config, attn_config: { clip_qkv: clip } } });
    return logitsOf(model);
  };
  const expected = await logits(null);
  expect(await logits(0)).toEqual(expected);
  expect(await logits(0.4)).not.toEqual(expected);
});
