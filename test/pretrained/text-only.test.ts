// Models of test/data/text-only read images beside text. Their language models load alone and compute the same logits.
import { afterAll, expect, it } from 'vitest';
import type { PretrainedModel } from '../../src/models/pretrained-model.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';
import { largest } from '../tolerance.js';

const data = testData('text-only');
/** The allowed error of float32 against float64, relative to the largest value, as in reference.ts. */
const LIMIT = 2e-4;

const device = await deviceFor(isas.at(-1) as string, 2);
const models: PretrainedModel[] = [];
afterAll(() => {
  for (const model of models) model.dispose();
});

interface Reference {
  readonly input_ids: number[][];
  readonly shape: readonly number[];
  readonly logits: number[];
}

it.each(['gemma3', 'gemma3-in-memory-names', 'gemma4', 'mistral3'])('%s gives the logits of its text', async (name) => {
  const warnings: string[] = [];
  const onWarning = (warning: string) => void warnings.push(warning);
  const model = await loadModel(device, `${data.path}/${name}`, { head: 'language-model', onWarning });
  models.push(model);
  expect(warnings).toEqual([expect.stringMatching(/reads more than text .* language model is loaded alone/)]);
  const { input_ids: inputIds, shape, logits: expected } = await data.json<Reference>(`${name}/reference.json`);
  const logits = model.forward({ inputIds }).logits!;
  expect(logits.shape).toEqual(shape);
  const limit = LIMIT * largest(Float32Array.from(expected));
  for (const [i, value] of (await logits.data()).entries()) expect(Math.abs(value - expected[i]!)).toBeLessThan(limit);
  // It is saved as what it is: a model of text.
  expect(model.origin?.config).toMatchObject({
    architectures: [expect.stringMatching(/^(Gemma[34]|Mistral)ForCausalLM$/)],
  });
});

it('names the type of a model whose language model is also unsupported', async () => {
  const config = { model_type: 'other', text_config: { model_type: 'other_text' } };
  const files = { 'config.json': new TextEncoder().encode(JSON.stringify(config)) };
  await expect(loadModel(device, files)).rejects.toThrow(/model_type is .other., expected one of/);
});
