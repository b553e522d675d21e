// Heads that tell whether a text follows another. next-sentence.json has transformers' results in float64.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { openSafetensors, saveSafetensors } from '../../src/io/index.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { type Digest, expectGradients, waveWeights } from './waves.js';

interface Case {
  readonly config: { readonly model_type: string };
  readonly logits: number[];
  readonly loss: number;
  readonly shapes: Record<string, number[]>;
  readonly gradients: Record<string, Digest>;
}

const { inputs, cases } = JSON.parse(await readFile(join(import.meta.dirname, 'next-sentence.json'), 'utf8')) as {
  inputs: Record<'input_ids' | 'attention_mask' | 'token_type_ids', number[][]> & { labels: number[] };
  cases: Case[];
};

describe('a head for the next sentence', () => {
  it.each(cases.map((each, i) => [`${each.config.model_type} ${i}`, each] as const))('%s', async (_, expected) => {
    const device = await deviceFor(isas[0] as string, 1);
    const folder = await mkdtemp(join(tmpdir(), 'simdformer-next-sentence-'));
    try {
      await saveSafetensors(join(folder, 'model.safetensors'), waveWeights(device, expected.shapes));
      await writeFile(join(folder, 'config.json'), JSON.stringify(expected.config));
      const model = await loadModel(device, folder);
      expect(model.headKind).toBe('next-sentence');
      const { logits, loss } = model.forward({
        inputIds: inputs.input_ids,
        attentionMask: inputs.attention_mask,
        tokenTypeIds: inputs.token_type_ids,
        labels: inputs.labels,
      });
      const shown = await logits!.data();
      for (const [i, logit] of expected.logits.entries()) expect(shown[i]).toBeCloseTo(logit, 5);
      expect((await loss!.data())[0]).toBeCloseTo(expected.loss, 5);
      loss!.backward();
      await expectGradients(model.gradientDict(), expected.gradients);
      await model.save(join(folder, 'saved'));
      const saved = await openSafetensors(join(folder, 'saved', 'model.safetensors'));
      await saved.close();
      expect([...saved.tensors.keys()].sort()).toEqual(Object.keys(expected.shapes).sort());
      const config = JSON.parse(await readFile(join(folder, 'saved', 'config.json'), 'utf8'));
      expect(config.architectures[0]).toMatch(/ForNextSentencePrediction$/);
      model.dispose();
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
