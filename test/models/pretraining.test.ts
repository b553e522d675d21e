// Classes that predict words and the order of two texts. pretraining.json has transformers' results in float64.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { openSafetensors, saveSafetensors } from '../../src/io/index.js';
import { type LoadedModel, loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { type Digest, expectGradients, waveWeights } from './waves.js';

interface Case {
  readonly config: { readonly model_type: string };
  /** Logits of words, zero for padding, and of the order. */
  readonly words: number[];
  readonly order: number[];
  readonly loss: number;
  readonly shapes: Record<string, number[]>;
  readonly gradients: Record<string, Digest>;
}

const { inputs, orders, cases } = JSON.parse(await readFile(join(import.meta.dirname, 'pretraining.json'), 'utf8')) as {
  inputs: Record<'input_ids' | 'attention_mask' | 'token_type_ids' | 'labels', number[][]>;
  orders: number[];
  cases: Case[];
};
const device = await deviceFor(isas.at(-1) as string, 1);
const folder = await mkdtemp(join(tmpdir(), 'simdformer-pretraining-'));
afterAll(() => rm(folder, { recursive: true }));

async function written({ config, shapes }: Case): Promise<string> {
  const path = join(folder, config.model_type);
  await mkdir(path, { recursive: true });
  await saveSafetensors(join(path, 'model.safetensors'), waveWeights(device, shapes));
  await writeFile(join(path, 'config.json'), JSON.stringify(config));
  return path;
}

const read = {
  inputIds: inputs.input_ids,
  attentionMask: inputs.attention_mask,
  tokenTypeIds: inputs.token_type_ids,
};

describe("the head 'pretraining'", () => {
  it.each(cases.map((each) => [each.config.model_type, each] as const))('%s', async (type, expected) => {
    const path = await written(expected);
    using model = await loadModel(device, path, { head: 'pretraining' });
    const labels = { labels: inputs.labels, [type === 'albert' ? 'sentenceOrderLabel' : 'nextSentenceLabel']: orders };
    const output = model.forward({ ...read, ...labels });
    const order = type === 'albert' ? output.sopLogits : output.seqRelationshipLogits;
    const shown = { words: await output.predictionLogits!.data(), order: await order!.data() };
    for (const kind of ['words', 'order'] as const)
      for (const [i, logit] of expected[kind].entries()) expect(shown[kind][i]).toBeCloseTo(logit, 5);
    expect(await output.loss!.item()).toBeCloseTo(expected.loss, 5);
    output.loss!.backward();
    await expectGradients(model.gradientDict(), expected.gradients);
    expect(model.forward({ ...read, labels: inputs.labels }).loss).toBeUndefined();
    await model.save(join(path, 'saved'));
    const saved = await openSafetensors(join(path, 'saved', 'model.safetensors'));
    await saved.close();
    // Without tied embeddings, transformers' files have a second bias that it does not use.
    expect([...saved.tensors.keys()].sort()).toEqual(Object.keys(expected.gradients).sort());
    const config = JSON.parse(await readFile(join(path, 'saved', 'config.json'), 'utf8'));
    expect(config.architectures[0]).toMatch(/ForPreTraining$/);
  });

  it('is not the default: such a folder predicts words', async () => {
    const path = await written(cases[0]!);
    using model = await loadModel<LoadedModel>(device, path, { onWarning() {} });
    expect(model.headKind).toBe('masked-language-model');
    expect(() => model.forward({ ...read, nextSentenceLabel: orders })).toThrow(/nextSentenceLabel/);
  });
});
