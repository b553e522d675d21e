// Fuzzes config.json, generation_config.json and tokenizer_config.json of small models that are loaded whole. Loading must
// succeed, or throw an error of this package, and give all memory back. To run it for 30 seconds:
//
//   npm run fuzz -- config 30
import assert from 'node:assert';
import { createDevice, loadModel } from '../../src/index.js';
import { smallModel } from '../tasks/small-model.js';
import { checked, withoutTraces } from './checked.js';
import { jsonVariants } from './json-variants.js';

type Settings = Readonly<Record<string, object>>;

const FAMILIES = ['llama', 'gemma3', 'bert-sequence', 't5', 'qwen2-yarn', 'deberta-v2-sequence', 'gpt2', 'mpnet'];
const files = FAMILIES.map((name) => smallModel(name));
const seeds = files.map((model, i): { i: number; settings: Settings } => {
  const names = ['config.json', 'tokenizer_config.json'];
  const read = (name: string) => JSON.parse(new TextDecoder().decode(model[name]));
  const generation = { max_new_tokens: 4, do_sample: true, temperature: 0.5, top_k: 2, eos_token_id: [1, 2] };
  const settings = Object.fromEntries(names.map((name) => [name, read(name)]));
  return { i, settings: { ...settings, 'generation_config.json': generation } };
});

const device = await createDevice({ threads: 1 });
const before = device.memory().used;

export function fuzz(bytes: Buffer): Promise<void> {
  return withoutTraces(async () => {
    for (const seed of seeds)
      for (const settings of jsonVariants(bytes, [seed.settings], 1))
        await checked({ family: FAMILIES[seed.i], settings }, () => load(seed.i, settings));
  });
}

async function load(i: number, settings: Settings): Promise<void> {
  const text = Object.entries(Object(settings)).map(([name, value]) => [
    name,
    new TextEncoder().encode(JSON.stringify(value)),
  ]);
  try {
    const model = await loadModel(device, { ...files[i], ...Object.fromEntries(text) }, { onWarning: () => {} });
    model.dispose();
  } finally {
    assert.equal(device.memory().used, before);
  }
}
