// Repositories that bring their own code for Python, of families that are known here.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { loadModel } from '../../src/index.js';
import { parseSafetensors, type SafetensorsSource, serializeSafetensors } from '../../src/io/safetensors.js';
import { mul } from '../../src/ops/binary.js';
import { sum } from '../../src/ops/reduce.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';
import { largest } from '../tolerance.js';

it.each([
  ['GTE of the model type new, with its scaling of positions', 'gte-new'],
  ["Jina's BERT with linear biases and a gated network", 'jina-bert'],
  ["Jina's BERT for code, with norms of queries and keys", 'jina-bert-code'],
])('%s', async (_, name) => {
  const data = testData('remote-code');
  const expected = await data.json<{
    input_ids: number[][];
    last_hidden_state: number[][][];
    pooler_output: number[][];
  }>(`${name}/expected.json`);
  const device = await deviceFor(isas.at(-1) as string, 2);
  const onWarning = (message: string) => {
    throw new Error(message);
  };
  const model = await loadModel(device, `${data.path}/${name}`, { onWarning });
  const { lastHiddenState, poolerOutput } = model.forward({ inputIds: expected.input_ids });
  for (const [output, truth] of [
    [lastHiddenState, expected.last_hidden_state],
    [poolerOutput, expected.pooler_output],
  ] as const) {
    const found = await output!.data();
    const values = truth.flat(2) as number[];
    expect(found).toHaveLength(values.length);
    // Two layers of float32 after float64, of values up to 4.
    for (const [i, value] of values.entries()) expect(Math.abs((found[i] as number) - value)).toBeLessThan(2e-5);
  }
  model.dispose();
});

it('GTE of the model type new has no pooler if its file has none', async () => {
  const data = testData('remote-code');
  const { tensors } = parseSafetensors(await data.bytes('gte-new/model.safetensors'));
  const kept = [...tensors].filter(([name]) => !name.includes('pooler'));
  const file = serializeSafetensors(
    Object.fromEntries(
      kept.map(([name, entry]) => [name, { dtype: 'F32', shape: [...entry.shape], data: entry.data() }]),
    ) as Record<string, SafetensorsSource>,
  );
  const device = await deviceFor(isas.at(-1) as string, 2);
  const warnings: string[] = [];
  const files = { 'config.json': await data.bytes('gte-new/config.json'), 'model.safetensors': file };
  const model = await loadModel(device, files, { onWarning: (message) => warnings.push(message) });
  const { lastHiddenState, poolerOutput } = model.forward({ inputIds: [[2, 5, 3]] });
  expect([lastHiddenState?.shape, poolerOutput, warnings]).toEqual([[1, 3, 32], undefined, []]);
  model.dispose();
});

it("Nomic's encoder with mixtures of experts: outputs, gradients, saved and loaded again, and packed", async () => {
  const data = testData('remote-code');
  const expected = await data.json<{
    input_ids: number[][];
    last_hidden_state: number[][][];
    projection: number[][][];
    gradients: Record<string, number[]>;
  }>('nomic-moe/expected.json');
  const device = await deviceFor(isas.at(-1) as string, 2);
  const inputs = { inputIds: expected.input_ids };
  const close = (found: ArrayLike<number>, values: readonly number[], bound: number) => {
    expect(found).toHaveLength(values.length);
    for (const [i, value] of values.entries()) expect(Math.abs((found[i] as number) - value)).toBeLessThan(bound);
  };
  const model = await loadModel(device, `${data.path}/nomic-moe`);
  const { lastHiddenState } = model.forward(inputs);
  close(await lastHiddenState!.data(), expected.last_hidden_state.flat(2), 2e-5);
  const projection = device.tensor(Float32Array.from(expected.projection.flat(2)), lastHiddenState!.shape);
  sum(mul(lastHiddenState!, projection)).backward();
  const gradients = model.gradientDict();
  for (const [name, values] of Object.entries(expected.gradients))
    close(await gradients[name]!.data(), values, 1e-4 * largest(values));
  const folder = mkdtempSync(join(tmpdir(), 'nomic-'));
  await model.save(folder);
  const before = parseSafetensors(readFileSync(`${data.path}/nomic-moe/model.safetensors`)).tensors;
  const after = parseSafetensors(readFileSync(join(folder, 'model.safetensors'))).tensors;
  expect([...after.keys()].sort()).toEqual([...before.keys()].sort());
  for (const [name, entry] of before) {
    expect(after.get(name)?.shape).toEqual(entry.shape);
    expect(after.get(name)?.data()).toEqual(entry.data());
  }
  // Halves have 11 bits. Four layers add up as many roundings as they have matrices in a row.
  const halves = await loadModel(device, `${data.path}/nomic-moe`, { weights: 'float16' });
  const values = expected.last_hidden_state.flat(2);
  close(await halves.forward(inputs).lastHiddenState!.data(), values, 2 ** -11 * 40 * largest(values));
  const packed = await loadModel(device, `${data.path}/nomic-moe`, { weights: 'int8' });
  const own = (await packed.forward(inputs).lastHiddenState!.data()).slice();
  await packed.save(folder);
  const again = await loadModel(device, folder, { weights: 'auto' });
  expect(await again.forward(inputs).lastHiddenState!.data()).toEqual(own);
  for (const each of [model, halves, packed, again]) each.dispose();
  rmSync(folder, { recursive: true });
});

it("Nomic's encoder refuses settings of its own code that change results", async () => {
  const data = testData('remote-code');
  const device = await deviceFor(isas.at(-1) as string, 2);
  const config = await data.json<object>('nomic-moe/config.json');
  const weights = await data.bytes('nomic-moe/model.safetensors');
  for (const change of [{ prenorm: true }, { num_shared_experts: 1 }, { expert_choice_router: true }]) {
    const files = {
      'config.json': new TextEncoder().encode(JSON.stringify({ ...config, ...change })),
      'model.safetensors': weights,
    };
    await expect(loadModel(device, files)).rejects.toThrow(Object.keys(change)[0]);
  }
});
