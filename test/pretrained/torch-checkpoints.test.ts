// Models of which test/data/formats/bin has only pytorch_model.bin, in many layouts: they compute what transformers does.
import { afterAll, expect, it } from 'vitest';
import { parseSafetensors, type SafetensorsEntry } from '../../src/io/safetensors.js';
import type { ModelInputs, ModelOutput } from '../../src/models/inputs.js';
import type { PretrainedModel } from '../../src/models/pretrained-model.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';
import { largest } from '../tolerance.js';

const data = testData('formats/bin');

interface Case {
  readonly model: string;
  readonly expected: string;
}
const { cases } = await data.json<{ cases: Readonly<Record<string, Case>> }>('expected.json');
const names = Object.keys(cases).filter((name) => !name.startsWith('lora'));

/** The allowed error of float32 against float64, relative to the largest value of each tensor, as in reference.ts. */
const LIMIT = 2e-4;

const device = await deviceFor(isas.at(-1) as string, 2);
const models: PretrainedModel[] = [];
afterAll(() => {
  for (const model of models) model.dispose();
});

async function filesOf(name: string): Promise<Record<string, Uint8Array>> {
  const shards = [1, 2, 3].map((shard) => `pytorch_model-0000${shard}-of-00003.bin`);
  const weights = name.endsWith('sharded') ? [...shards, 'pytorch_model.bin.index.json'] : ['pytorch_model.bin'];
  const files = ['config.json', ...weights];
  return Object.fromEntries(await Promise.all(files.map(async (file) => [file, await data.bytes(`${name}/${file}`)])));
}

async function load(name: string, head?: 'none'): Promise<PretrainedModel> {
  const warnings: string[] = [];
  const options = { head, onWarning: (message: string) => warnings.push(message) };
  const model = await loadModel(device, await filesOf(name), options);
  models.push(model);
  // Only the pooler of a language model's file, and what only the test file has, are left over.
  for (const warning of warnings) expect(warning).toMatch(/cls\.|pooler|buffer|small\.|scalar|token_type_ids/);
  return model;
}

function inputsOf(reference: ReadonlyMap<string, SafetensorsEntry>): ModelInputs {
  const rows = (name: string) => {
    const entry = reference.get(name);
    const [, length] = entry?.shape ?? [];
    const ids = entry?.data();
    return (
      entry &&
      ids &&
      Array.from({ length: entry.size / length! }, (_, row) => [...ids.slice(row * length!, (row + 1) * length!)])
    );
  };
  const inputs = {
    inputIds: rows('input_ids'),
    attentionMask: rows('attention_mask'),
    tokenTypeIds: rows('token_type_ids'),
    decoderInputIds: rows('decoder_input_ids'),
  };
  return Object.fromEntries(Object.entries(inputs).filter(([, value]) => value !== undefined));
}

/** Values where the mask is 1: those of padding mean nothing. */
async function expectOutput(output: ModelOutput, name: keyof ModelOutput, entry: SafetensorsEntry, mask: number[]) {
  const values = await (output[name] as { data(): Promise<Float32Array> }).data();
  const expected = entry.data();
  const width = entry.shape.at(-1)!;
  const limit = LIMIT * largest(expected as Float32Array);
  expect(values.length).toBe(expected.length);
  for (let i = 0; i < values.length; i++)
    if (mask[Math.floor(i / width)] !== 0) expect(Math.abs(values[i]! - expected[i]!)).toBeLessThan(limit);
}

it.each(names)('%s gives the results of transformers', async (name) => {
  const { expected } = cases[name] as Case;
  const path = expected.startsWith('../') ? expected.slice(3) : `${name}/${expected}`;
  const reference = parseSafetensors(await data.bytes(path)).tensors;
  const isBody = name === 'bert-noprefix';
  const model = await load(name, isBody ? 'none' : undefined);
  const inputs = inputsOf(reference);
  const mask = [...((inputs.decoderInputIds ?? inputs.attentionMask!) as number[][])]
    .flat()
    .map((one) => (inputs.decoderInputIds ? 1 : one));
  const output = model.forward(inputs);
  if (isBody) await expectOutput(output, 'lastHiddenState', reference.get('last_hidden_state')!, mask);
  else await expectOutput(output, 'logits', (reference.get('prediction_logits') ?? reference.get('logits'))!, mask);
});
