// Projections that are fused in checkpoints, and several modules in transformers 5, whose names PEFT uses.
import { afterAll, describe, expect, it } from 'vitest';
import { loadLora, lora } from '../../src/finetune/index.js';
import { loadModel } from '../../src/index.js';
import { parseSafetensors, serializeSafetensors } from '../../src/io/index.js';
import type { LoadedModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';

const device = await deviceFor(isas[0]!, 2);
afterAll(() => device.dispose());

const inputs = { inputIds: [[5, 9, 13, 2]], attentionMask: [[1, 1, 1, 1]] };
const resultOf = async (model: LoadedModel) => {
  const { logits, lastHiddenState } = device.noGrad(() => model.forward(inputs));
  return (await (logits ?? lastHiddenState)!.data()) as Float32Array;
};

/** Family, a name of the file, and names in memory, without layers and matrices. */
const families = [
  ['gte', 'qkv_proj', 'self_attn', ['q_proj', 'k_proj', 'v_proj']],
  ['gte', 'up_gate_proj', 'mlp', ['up_proj', 'gate_proj']],
  ['nomic_bert', 'Wqkv', 'self_attn', ['q_proj', 'k_proj', 'v_proj']],
  ['jina_embeddings_v3', 'Wqkv', 'self_attn', ['q_proj', 'k_proj', 'v_proj']],
] as const;

describe.each(families)('an adapter of %s, %s', (family, stored, part, sections) => {
  const load = () => loadModel(device, `test/data/families/${family}`, { onWarning: () => {} });

  it('has the names of modules in memory, and can change one of them', async () => {
    using model = await load();
    const files = await lora(model, { r: 2, targets: [stored] }).toFiles();
    const names = [...parseSafetensors(files['adapter_model.safetensors']!).tensors.keys()];
    const own = names.map((name) => name.replace(/^.*layers\.\d+\./, '').replace(/\.lora_[AB]\.weight$/, ''));
    expect([...new Set(own)].sort()).toEqual(sections.map((section) => `${part}.${section}`).sort());
    const config = JSON.parse(new TextDecoder().decode(files['adapter_config.json']));
    expect(config.target_modules.toSorted()).toEqual([...sections].sort());
    using again = await load();
    const one = lora(again, { r: 2, targets: [sections[1]] });
    expect(one.parts.every(({ target }) => target.name.endsWith(sections[1]))).toBe(true);
    expect(one.parts[0]!.target.start).toBeGreaterThan(0);
  });

  it('is read if it changes the fused projection as a whole, as with older code', async () => {
    using model = await load();
    const parts = lora(model, { r: 2, targets: [sections[0]] }).parts;
    const names = parts.map(({ target }) => target.stored);
    const [inputs, outputs] = parts.map(({ modules: [module] }) => [
      module!.original.weight.shape[0] as number,
      module!.original.weight.shape[1] as number,
    ])[0]!;
    const tensors = names.flatMap((name, seed) => {
      const values = (count: number) => Float32Array.from({ length: count }, (_, i) => Math.sin(i * 0.7 + seed) / 4);
      return [
        [
          `base_model.model.${name}.lora_A.weight`,
          { dtype: 'F32' as const, shape: [2, inputs!], data: values(2 * inputs!) },
        ],
        [
          `base_model.model.${name}.lora_B.weight`,
          { dtype: 'F32' as const, shape: [outputs!, 2], data: values(2 * outputs!) },
        ],
      ] as const;
    });
    const config = { peft_type: 'LORA', r: 2, lora_alpha: 2, target_modules: [stored] };
    const files = {
      'adapter_config.json': new TextEncoder().encode(JSON.stringify(config)),
      'adapter_model.safetensors': serializeSafetensors(Object.fromEntries(tensors)),
    };
    using base = await load();
    const before = await resultOf(base);
    const adapter = await loadLora(base, files);
    const changed = await resultOf(base);
    expect(changed).not.toEqual(before);
    using again = await load();
    await loadLora(again, await adapter.toFiles());
    expect(await resultOf(again)).toEqual(changed);
  });
});
