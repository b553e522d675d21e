// A trained model whose authors publish what it gives: greedy and beam search outputs, and log-probabilities.
import { describe, expect, it } from 'vitest';
import { CharTokenizer, Transformer, type TransformerOptions } from '../../src/index.js';
import { parseSafetensors } from '../../src/io/index.js';
import { deviceFor, isas } from '../describe-op.js';
import { testData } from '../test-data.js';

type Pairs = [source: string, target: string][];

interface Expected {
  readonly greedy: Pairs;
  readonly beam4: Pairs;
  readonly logProbabilities: { source: string; target: string; perToken: number[] }[];
}

describe('aren-transliteration', async () => {
  const { bytes, json } = testData('checkpoints/aren-transliteration');
  const expected = await json<Expected>('expected.json');
  const vocabulary = await json<{ source: string[]; target: string[] }>('vocabulary.json');
  const special = { pad: '<blank>', bos: '<s>', eos: '</s>', unk: '<unk>' };
  const source = new CharTokenizer([...vocabulary.source, '<unk>'], special);
  const target = new CharTokenizer([...vocabulary.target, '<unk>'], special);

  describe.each(isas)('%s', (isa) => {
    async function load() {
      const { positions, note, names, ...config } = await json<TransformerOptions & { note: string; names: string }>(
        'config.json',
      );
      const model = new Transformer(await deviceFor(isa, 2), {
        ...config,
        positions: { kind: 'sinusoidal', layout: 'halves', firstPosition: 1, frequencies: 'tensor2tensor' },
        sourceVocab: source.vocabSize,
        targetVocab: target.vocabSize,
        maxLength: 128,
      });
      model.loadStateDict(parseSafetensors(await bytes('model.safetensors')).tensors);
      return model;
    }

    it('gives the greedy and beam outputs', async () => {
      const model = await load();
      for (const [pairs, numBeams] of [
        [expected.greedy, 1],
        [expected.beam4, 4],
      ] as const) {
        const words = pairs.map(([word]) => source.encode(word));
        const { sequences } = await model.generate(words, { numBeams });
        expect(sequences.map((ids) => target.decode(ids))).toEqual(pairs.map(([, word]) => word));
      }
      model.dispose();
    });

    it('gives the log-probabilities', async () => {
      const model = await load();
      const words = expected.logProbabilities.map((pair) => source.encode(pair.source));
      const targets = expected.logProbabilities.map((pair) => target.encode(pair.target, { addSpecial: true }));
      const scored = await model.score(words, targets);
      const generated = await model.generate(words);
      for (const [i, { perToken }] of expected.logProbabilities.entries()) {
        for (const values of [scored.logProbabilities[i]!, generated.logProbabilities[i]!]) {
          expect(values.length).toBe(perToken.length);
          for (const [t, value] of values.entries()) expect(Math.abs(value - perToken[t]!)).toBeLessThan(1e-5);
        }
      }
      model.dispose();
    });
  });
});
