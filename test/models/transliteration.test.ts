// A Transformer that others trained, from the tests of CTranslate2: Arabic names into Latin script. Its authors publish
// what it says and how likely it holds that.
import { describe, expect, it } from 'vitest';
import { type Device, Transformer, type TransformerOptions } from '../../src/index.js';
import { parseSafetensors } from '../../src/io/safetensors.js';
import { logSoftmax } from '../../src/ops/index.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';

interface Expected {
  readonly greedy: readonly (readonly [source: string, target: string])[];
  readonly logProbabilities: readonly { source: string; target: string; perToken: readonly number[] }[];
}

describe('transliteration', async () => {
  const { bytes, json } = testData('checkpoints/aren-transliteration');
  const { note, names, ...config } = await json<
    TransformerOptions & { bosId: number; eosId: number; note: string; names: string }
  >('config.json');
  const vocabulary = await json<Record<'source' | 'target', string[]>>('vocabulary.json');
  const expected = await json<Expected>('expected.json');
  const weights = parseSafetensors(await bytes('model.safetensors')).tensors;
  const idsOf = (side: 'source' | 'target', text: string) =>
    [...text].map((letter) => vocabulary[side].indexOf(letter));

  function build(device: Device): Transformer {
    const model = new Transformer(device, {
      ...config,
      // The words of config.json in our terms.
      positions: { kind: 'sinusoidal', layout: 'halves', firstPosition: 1, frequencies: 'tensor2tensor' },
      sourceVocab: weights.get('src_embed.weight')!.shape[0],
      targetVocab: weights.get('tgt_embed.weight')!.shape[0],
    });
    model.loadStateDict(weights);
    return model.eval();
  }

  describe.each(isas)('%s', (isa) => {
    it('gives the published log-probabilities', async () => {
      const model = build(await deviceFor(isa, 2));
      const sources = expected.logProbabilities.map(({ source }) => idsOf('source', source));
      const targets = expected.logProbabilities.map(({ target }) => idsOf('target', target));
      const inputs = targets.map((ids) => [config.bosId, ...ids]);
      const logits = model.forward(sources, inputs);
      const [, time, size] = logits.shape as [number, number, number];
      const values = await logSoftmax(logits).data();
      expected.logProbabilities.forEach(({ perToken }, b) => {
        [...targets[b]!, config.eosId].forEach((id, t) => {
          expect(Math.abs(values[(b * time + t) * size + id]! - perToken[t]!)).toBeLessThan(1e-5);
        });
      });
    });

    it('generates the expected tokens', async () => {
      const device = await deviceFor(isa, 2);
      const model = build(device);
      const state = model.startDecoding({
        memory: model.encode(expected.greedy.map(([source]) => idsOf('source', source))),
        maxLength: 16,
      });
      const step = device.record(() => model.step(state));
      const said = expected.greedy.map(() => [config.bosId]);
      while (said.some((ids) => ids.at(-1) !== config.eosId)) {
        state.tokens.write(said.map((ids) => ids.at(-1)!));
        const logits = await step.run().data();
        const size = logits.length / said.length;
        said.forEach((ids, b) => {
          const row = logits.subarray(b * size, (b + 1) * size);
          if (ids.at(-1) !== config.eosId) ids.push(row.indexOf(Math.max(...row)));
        });
      }
      const words = said.map((ids) => ids.slice(1, -1).map((id) => vocabulary.target[id]));
      expect(words.map((letters) => letters.join(''))).toEqual(expected.greedy.map(([, target]) => target));
      state.dispose();
    });
  });
});
