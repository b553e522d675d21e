// GGUF files of families whose tensors differ from a checkpoint's. A file's model must compute what the checkpoint's
// does, and a saved file must be what llama.cpp's converter writes.
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { type Gguf, parseGguf } from '../../src/io/gguf.js';
import type { PretrainedModel } from '../../src/models/pretrained-model.js';
import { MixtureOfExperts } from '../../src/nn/mixture-of-experts.js';
import { PackedWeight } from '../../src/nn/weight.js';
import { saveGguf } from '../../src/pretrained/index.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { largest } from '../tolerance.js';
import { conversions, converted, readable } from './gguf-conversions.js';
import { ggufSaver, HALVES, logitsOf } from './saved-gguf.js';

const { device, path, saved } = await ggufSaver();

it.each(Object.keys(conversions))('%s: a file gives the results of its checkpoint', async (name) => {
  const { file, files } = await converted(name);
  const warnings: string[] = [];
  const onWarning = (message: string) => warnings.push(message);
  const given = (await loadModel(device, file, { weights: 'float32', onWarning })) as PretrainedModel;
  expect(warnings).toEqual([]);
  const wanted = (await loadModel(device, files, { onWarning: () => {} })) as PretrainedModel;
  const [a, b] = [logitsOf(given), logitsOf(wanted)];
  const difference = Math.max(...a.map((value, i) => Math.abs(value - b[i]!)));
  expect(difference / largest(b)).toBeLessThan(2e-5);
  given.dispose();
  wanted.dispose();
});

it('qwen3_5: blocks that reordered heads would split become float16', async () => {
  const { file } = await converted('qwen3_5', 'Q8_0');
  const warnings: string[] = [];
  const onWarning = (message: string) => warnings.push(message);
  const packed = (await loadModel(device, file, { activations: 'float32', onWarning })) as PretrainedModel;
  const floats = (await loadModel(device, file, { weights: 'float32' })) as PretrainedModel;
  expect(warnings).toMatchObject([/Q8_0 of heads in another order as float16/]);
  const [a, b] = [logitsOf(packed), logitsOf(floats)]; // scales are powers of two: halves hold these values
  expect(Math.max(...a.map((value, i) => Math.abs(value - b[i]!))) / largest(b)).toBeLessThan(2e-5);
  packed.dispose();
  floats.dispose();
});

it.each(['qwen3_moe', 'gpt_oss', 'granitemoehybrid', 'lfm2_moe'])(
  '%s: experts stay as the file packs them',
  async (name) => {
    const { file } = await converted(name, 'Q8_0');
    const packed = (await loadModel(device, file, { activations: 'float32' })) as PretrainedModel;
    const floats = (await loadModel(device, file, { weights: 'float32' })) as PretrainedModel;
    for (const part of packed.modules())
      if (part instanceof MixtureOfExperts) {
        expect((part.gates.weight as PackedWeight).format).toBe('q8_0');
        // Rows of 16 values do not fill blocks.
        expect(part.downs.weight).not.toBeInstanceOf(PackedWeight);
      }
    const [a, b] = [logitsOf(packed), logitsOf(floats)];
    expect(Math.max(...a.map((value, i) => Math.abs(value - b[i]!))) / largest(b)).toBeLessThan(2e-5);
    packed.dispose();
    floats.dispose();
  },
);

it.each([
  'smollm3',
  'granite',
  'glm4',
  'exaone4',
  'ernie4_5',
  'lfm2',
  'qwen3_moe',
  'olmoe',
  'lfm2_moe',
  'mixtral-window',
  'gpt_oss',
  'granitemoehybrid',
  'granite-moe',
  'falcon_h1',
  'falcon',
  'falcon-two-norms',
  'phi',
  'starcoder2',
  'stablelm',
  'cohere2',
  'bloom',
  'mamba2',
  'olmo3',
  'hunyuan_v1_dense',
  'qwen3_5',
  'gemma4',
  'gemma4_moe',
  'ernie4-5-moe',
])('%s: a saved file has the names, shapes and settings of the converter, and computes the same', async (name) => {
  const { file, files } = await converted(name, 'F32', readable[name] ?? {});
  const { file: own, logits } = await saved(files);
  const [written, wanted] = [parseGguf(own), parseGguf(new Uint8Array(await file.arrayBuffer()))];
  const shapes = ({ tensors }: Gguf) => [...tensors.values()].map((each) => `${each.name} [${each.shape}]`).sort();
  expect(shapes(written)).toEqual(shapes(wanted));
  for (const [key, value] of wanted.metadata) expect([key, written.metadata.get(key)]).toEqual([key, value]);
  const again = (await loadModel(device, new Blob([own as BlobPart]), { weights: 'float32' })) as PretrainedModel;
  const difference = Math.max(...logitsOf(again).map((value, i) => Math.abs(value - logits[i]!)));
  expect(difference / largest(logits)).toBeLessThan(HALVES);
  again.dispose();
});

it('blocks of experts are copied to a saved file', async () => {
  const { file } = await converted('qwen3_moe', 'Q8_0');
  const model = (await loadModel(device, file)) as PretrainedModel;
  await saveGguf(model, path, { type: 'q8_0' });
  model.dispose();
  const [wanted, own] = [new Uint8Array(await file.arrayBuffer()), new Uint8Array(readFileSync(path))];
  const bytesOf = (bytes: Uint8Array, name: string) => {
    const { type, shape, position, byteLength } = parseGguf(bytes).tensors.get(name)!;
    return [type, shape, Buffer.from(bytes.subarray(position, position + byteLength)).toString('hex')];
  };
  for (const name of ['ffn_gate_exps', 'ffn_up_exps'].map((each) => `blk.0.${each}.weight`))
    expect(bytesOf(own, name)).toEqual(bytesOf(wanted, name));
  expect(bytesOf(own, 'blk.0.ffn_gate_exps.weight')[0]).toBe('Q8_0');
});

it('mixtures that llama.cpp would compute in another way are not saved', async () => {
  const { files } = await converted('qwen3_moe');
  const config = JSON.parse(new TextDecoder().decode(files['config.json']));
  const changed = new TextEncoder().encode(JSON.stringify({ ...config, norm_topk_prob: false }));
  await expect(saved({ ...files, 'config.json': changed })).rejects.toThrow('norm_topk_prob is false, expected true');
});

it.each([
  ['olmoe', 'num_key_value_heads is 2, expected 4'],
  ['exaone4', 'This model has 4 layers with windows. Save it as safetensors'],
])('%s: a model that llama.cpp cannot load, or would compute in another way, is not saved', async (name, message) => {
  const { files } = await converted(name);
  await expect(saved(files)).rejects.toThrow(message);
});

it('what GGUF files of a family cannot express is refused', async () => {
  const { files } = await converted('smollm3');
  const config = JSON.parse(new TextDecoder().decode(files['config.json']));
  const changed = new TextEncoder().encode(
    JSON.stringify({ ...config, no_rope_layers: config.layer_types ?? Array(config.num_hidden_layers).fill(1) }),
  );
  await expect(saved({ ...files, 'config.json': changed })).rejects.toThrow('one of four layers has no positions');
});
