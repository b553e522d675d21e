// LoRA on an int8 base, for each family of texts. The loss falls, and the adapter's file gives the same results. It names
// only what PEFT can adapt.
import { describe, expect, it } from 'vitest';
import { loadLora, lora } from '../../src/finetune/index.js';
import { AdamW, type Tensor } from '../../src/index.js';
import type { ModelInputs } from '../../src/models/inputs.js';
import { PackedWeight } from '../../src/nn/weight.js';
import { type LoadedModel, loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';
import { filesOf, inputsOf, referenceOf } from './reference.js';

const device = await deviceFor(isas[0] as string, 2);
const data = testData('families');

const families = `
  qwen3_5 gemma4 gemma4_moe gemma3n lfm2 lfm2_moe granite granitemoehybrid falcon_h1 qwen3_moe
  gpt_oss olmoe olmo3 ministral3 glm4 exaone4 ernie4_5 hunyuan_v1_dense phi starcoder2
  stablelm cohere2 falcon falcon_alibi bloom gptj mamba2 modernbert_decoder bitnet smollm3
  gte jina_embeddings_v3 eurobert eurobert_late nomic_bert roformer mobilebert longformer xlnet layoutlmv3 deberta
  t5gemma t5gemma2 pegasus blenderbot led
`;

const attention = ['q_proj', 'k_proj', 'v_proj', 'o_proj'];
/** Families of which PEFT cannot adapt every matrix, or whose lists have numbers as names. */
const named: Readonly<Record<string, readonly string[]>> = {
  gpt_oss: attention,
  qwen3_moe: attention,
  granitemoehybrid: ['in_proj', 'out_proj', 'input_linear', 'output_linear', ...attention],
  lfm2_moe: ['in_proj', 'out_proj', 'w1', 'w2', 'w3', 'q_proj', 'k_proj', 'v_proj'],
  mamba2: ['in_proj'],
  falcon_h1: ['in_proj', 'gate_proj', 'up_proj', 'down_proj', ...attention],
  xlnet: ['layer_1', 'layer_2'],
  gemma3n: [
    'altup_projections.0',
    'altup_projections.1',
    'altup_projections.2',
    'altup_unembed_projections.0',
    'altup_unembed_projections.1',
    'altup_unembed_projections.2',
    'per_layer_model_projection',
    'modality_router',
    'prediction_coefs',
    'correction_coefs',
    'linear_left',
    'linear_right',
    'per_layer_input_gate',
    'per_layer_projection',
    'gate_proj',
    'down_proj',
    'up_proj',
    ...attention,
  ],
};

const logitsOf = (model: LoadedModel, inputs: ModelInputs) =>
  device.scope(() => device.noGrad(() => model.forward(inputs).logits as Tensor).dataSync() as Float32Array);

describe.each(families.trim().split(/\s+/))('%s', (name) => {
  it('learns by an adapter on packed weights, and its file gives the same', async () => {
    const files = await filesOf(data, name);
    const load = () => loadModel(device, files, { weights: 'int8' });
    using model = await load();
    const packed = model
      .weightNames()
      .filter(({ part }) => (part as { weight?: unknown }).weight instanceof PackedWeight);
    expect(packed.length).toBeGreaterThan(1);
    const inputs = inputsOf(device, await referenceOf(data, name));
    const adapter = lora(model, { r: 4, alpha: 16, targets: 'all-linear' });
    const losses = await train(model, inputs, adapter.parameters());
    expect(losses.at(-1)).toBeLessThan(0.97 * (losses[0] as number));
    const saved = await adapter.toFiles();
    const config = JSON.parse(new TextDecoder().decode(saved['adapter_config.json']));
    if (named[name]) expect(config.target_modules.sort()).toEqual([...named[name]].sort());
    using again = await load();
    await loadLora(again, saved);
    expect(logitsOf(again, inputs)).toEqual(logitsOf(model, inputs));
  });
});

async function train(model: LoadedModel, inputs: ModelInputs, params: Tensor[]): Promise<number[]> {
  using optimizer = new AdamW(params, { lr: 0.01, weightDecay: 0 });
  const losses: number[] = [];
  model.train();
  for (let step = 0; step < 20; step++)
    device.scope(() => {
      const loss = model.forward(inputs).loss as Tensor;
      loss.backward();
      losses.push(loss.dataSync()[0] as number);
      optimizer.step();
      optimizer.zeroGrad();
    });
  model.eval();
  return losses;
}
