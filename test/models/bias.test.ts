import { expect, it } from 'vitest';
import { Transformer } from '../../src/index.js';
import { deviceFor } from '../describe-op.js';
import { best, build, inputsOf } from './small-models.js';

it('a layer without biases has PyTorch’s names', async () => {
  const model = build(await deviceFor(best, 1), { bias: false, encoderLayers: 1, decoderLayers: 1 });
  const layer = (name: string, parts: string[]) => parts.map((part) => `transformer.${name}.layers.0.${part}.weight`);
  const attention = (name: string) => [`${name}.in_proj_weight`, `${name}.out_proj.weight`];
  const names = Object.keys(model.stateDict()).filter((name) => name.includes('layers'));
  const expected = [
    ...layer('encoder', ['linear1', 'linear2', 'norm1', 'norm2']),
    ...layer('decoder', ['linear1', 'linear2', 'norm1', 'norm2', 'norm3']),
    ...attention('transformer.encoder.layers.0.self_attn'),
    ...attention('transformer.decoder.layers.0.self_attn'),
    ...attention('transformer.decoder.layers.0.multihead_attn'),
  ];
  expect(names.sort()).toEqual(expected.sort());
  expect(Object.keys(model.stateDict()).filter((name) => name.endsWith('bias'))).toEqual([]);
});

it('equals the model whose biases are 0', async () => {
  const device = await deviceFor(best, 2);
  const without = build(device, { bias: false, norm: 'pre' });
  const zero = build(device, { norm: 'pre' });
  const biases = Object.entries(zero.stateDict()).filter(([name]) => name.endsWith('bias'));
  zero.loadStateDict({ ...Object.fromEntries(biases), ...without.stateDict() });
  expect(await zero.forward(...inputsOf(zero)).data()).toEqual(await without.forward(...inputsOf(without)).data());
});

it('is saved, and a model saved without the option has biases', async () => {
  const device = await deviceFor(best, 1);
  const without = await Transformer.fromFiles(device, await build(device, { bias: false }).toFiles());
  expect(without.config.bias).toBe(false);
  const files = await build(device, {}).toFiles();
  const { bias, ...older } = JSON.parse(new TextDecoder().decode(files['config.json'])).model;
  expect(bias).toBe(true);
  const config = new TextEncoder().encode(JSON.stringify({ format: 'simdformer', model: older }));
  expect((await Transformer.fromFiles(device, { ...files, 'config.json': config })).config.bias).toBe(true);
});
