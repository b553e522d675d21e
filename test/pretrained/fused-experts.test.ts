// Checkpoints with the experts of a layer in one tensor, as transformers 5 writes them with save_original_format=False.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDevice, type Device } from '../../src/index.js';
import { parseSafetensors, type SafetensorsSource, serializeSafetensors } from '../../src/io/safetensors.js';
import type { ModelInputs } from '../../src/models/inputs.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { testData } from '../test-data.js';
import { filesOf, inputsOf, referenceOf } from './reference.js';

const data = testData('families');
const cases = ['qwen3_moe', 'olmoe', 'lfm2_moe', 'granitemoehybrid', 'qwen3-5-moe', 'ernie4-5-moe', 'mixtral-window'];

let device: Device;
beforeAll(async () => {
  device = await createDevice();
});
afterAll(() => device.dispose());

const EXPERT = /^(.*\.experts)\.(\d+)\.(gate_proj|up_proj|down_proj|w1|w3|w2)\.weight$/;
const renamed: Readonly<Record<string, string>> = {
  'block_sparse_moe.input_linear.weight': 'block_sparse_moe.experts.gate_up_proj',
  'block_sparse_moe.output_linear.weight': 'block_sparse_moe.experts.down_proj',
  'block_sparse_moe.router.layer.weight': 'block_sparse_moe.router.weight',
  'mlp.moe_statics.e_score_correction_bias': 'mlp.gate.moe_statics.e_score_correction_bias',
};

/** Mixtures in Mixtral have another path in memory. */
const inMemory = (name: string) => name.replace(/block_sparse_moe\.(?=gate\.weight$|experts$)/, 'mlp.');

/** The tensors under the names, and in the layout, that transformers 5 has in memory. */
function fused(file: Uint8Array): Uint8Array {
  const { tensors } = parseSafetensors(file);
  const found: Record<string, SafetensorsSource> = {};
  for (const [name, entry] of tensors) {
    const [, block, index, part] = EXPERT.exec(name) ?? [];
    const own = Object.entries(renamed).find(([end]) => name.endsWith(end));
    const other = own ? name.slice(0, -own[0].length) + own[1] : inMemory(name);
    if (block === undefined)
      found[other] = { dtype: 'F32', shape: [...entry.shape], data: entry.data() as Float32Array };
    if (index !== '0' || part === 'up_proj' || part === 'w3') continue;
    const isDown = part === 'down_proj' || part === 'w2';
    const parts = isDown ? [part] : part === 'w1' ? ['w1', 'w3'] : ['gate_proj', 'up_proj'];
    const experts = [...tensors.keys()].filter(
      (each) => each.startsWith(`${block}.`) && each.endsWith(`.${part}.weight`),
    );
    const all = experts.flatMap((_, i) =>
      parts.flatMap((each) => Array.from(tensors.get(`${block}.${i}.${each}.weight`)?.data() as Float32Array)),
    );
    const [out, columns] = entry.shape as [number, number];
    const shape = [experts.length, parts.length * out, columns];
    found[`${inMemory(block as string)}.${isDown ? 'down_proj' : 'gate_up_proj'}`] = {
      dtype: 'F32',
      shape,
      data: Float32Array.from(all),
    };
  }
  return serializeSafetensors(found);
}

describe.each(cases)('%s', (name) => {
  it('reads experts that lie in one tensor', async () => {
    const files = await filesOf(data, name);
    const weights = files['model.safetensors'] as Uint8Array;
    const other = fused(weights);
    expect(parseSafetensors(other).tensors.size).toBeLessThanOrEqual(parseSafetensors(weights).tensors.size);
    const inputs = inputsOf(device, await referenceOf(data, name));
    const logitsOf = async (given: Uint8Array) => {
      const warnings: string[] = [];
      const onWarning = (message: string) => warnings.push(message);
      const model = await loadModel(device, { ...files, 'model.safetensors': given }, { onWarning });
      expect(warnings).toEqual([]);
      const logits = await model.forward(inputs as ModelInputs).logits?.data();
      model.dispose();
      return logits;
    };
    expect(await logitsOf(other)).toEqual(await logitsOf(weights));
  });
});
