import { describe, expect, it } from 'vitest';
import { createDevice, Transformer } from '../../src/index.js';
import { decoderOnly, device, inputs, makeModel, size } from './small-model.js';

describe('sampling', () => {
  it('draws tokens by their probabilities', async () => {
    const model = makeModel(decoderOnly);
    const logits = ((await model.forward([inputs[0]!]).data()) as Float32Array).slice(-11);
    const total = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
    const draws = 5000;
    const { sequences } = await model.generate([inputs[0]!], {
      doSample: true,
      numReturnSequences: draws,
      maxNewTokens: 1,
      stopTokens: [],
      seed: 8,
    });
    const counts = new Array(11).fill(0);
    for (const [token] of sequences) counts[token!]++;
    let chiSquare = 0;
    let rare = { expected: 0, count: 0 };
    let degrees = 0;
    const add = (count: number, expected: number) => {
      chiSquare += (count - expected) ** 2 / expected;
      degrees++;
    };
    logits.forEach((logit, token) => {
      const expected = (Math.exp(logit) / total) * draws;
      if (expected < 5) rare = { expected: rare.expected + expected, count: rare.count + counts[token] };
      else add(counts[token], expected);
    });
    if (rare.expected >= 1) add(rare.count, rare.expected);
    expect(degrees).toBeGreaterThan(3);
    expect(chiSquare).toBeLessThan(35); // at most 10 degrees of freedom: above 35.6 with probability 0.0001
    model.dispose();
  });

  it('is reproducible, and different for each seed and sequence', async () => {
    const model = makeModel();
    const options = { doSample: true, numReturnSequences: 4, temperature: 1.5, maxNewTokens: 10, stopTokens: [] };
    const first = await model.generate(inputs, { ...options, seed: 1 });
    expect(await model.generate(inputs, { ...options, seed: 1 })).toEqual(first);
    expect((await model.generate(inputs, { ...options, seed: 2 })).sequences).not.toEqual(first.sequences);
    expect(new Set(first.sequences.map(String)).size).toBeGreaterThan(8);
    model.dispose();
  });

  it('equals greedy search if only the best token is left', async () => {
    const model = makeModel();
    const greedy = await model.generate(inputs);
    for (const options of [{ topK: 1 }, { topP: 1e-6 }, { minP: 1 }, { temperature: 1e-4 }]) {
      expect(await model.generate(inputs, { doSample: true, ...options })).toEqual(greedy);
    }
    model.dispose();
  });

  it('gives the same tokens on every instruction set', async () => {
    const all = await Promise.all(
      device.info.isas.map(async (isa) => {
        const other = await createDevice({ isa, threads: 1 });
        const model = new Transformer(other, size);
        const result = await model.generate(inputs, { doSample: true, maxNewTokens: 12, seed: 4 });
        other.dispose();
        return result.sequences;
      }),
    );
    for (const sequences of all) expect(sequences).toEqual(all[0]);
  });
});
