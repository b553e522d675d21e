import { describe, expect, it } from 'vitest';
import { ArgumentError, CharTokenizer } from '../../src/index.js';
import { decoderOnly, inputs, makeModel } from './small-model.js';

describe('where outputs end', () => {
  it('ends before stop tokens, at the stop function, or at the maximum length', async () => {
    const model = makeModel();
    const long = await model.generate(inputs, { stopTokens: [], maxNewTokens: 10 });
    expect(long.finishReasons).toEqual(['length', 'length', 'length']);
    const [tokens] = long.sequences as [number[]];
    const third = tokens[2]!;
    const expected = tokens.slice(0, tokens.indexOf(third));
    const stopped = await model.generate(inputs, { stopTokens: [third], maxNewTokens: 10 });
    expect([stopped.sequences[0], stopped.finishReasons[0]]).toEqual([expected, 'stop']);
    expect(stopped.logProbabilities[0]!.length).toBe(expected.length + 1);
    for (const numBeams of [1, 2]) {
      const stop = (written: readonly number[]) => written.length === 4;
      const byFunction = await model.generate(inputs, { stop, stopTokens: [], numBeams });
      for (const sequence of byFunction.sequences) expect(sequence.length).toBe(4);
      expect(byFunction.finishReasons).toEqual(['stop', 'stop', 'stop']);
    }
    model.dispose();
  });

  it('does not end within a forced prefix', async () => {
    const model = makeModel(decoderOnly);
    const prefix = [5, 6, 7];
    for (const numBeams of [1, 2]) {
      const asked: number[][] = [];
      const stop = (tokens: readonly number[]) => {
        asked.push([...tokens]);
        return tokens.at(-1) === 5 || tokens.at(-1) === 7;
      };
      const { sequences, finishReasons } = await model.generate([[3]], { prefix, stop, numBeams });
      expect([sequences, finishReasons, asked]).toEqual([[prefix], ['stop'], [prefix]]);
    }
    model.dispose();
  });

  it("ends at the target tokenizer's end token, if there is a tokenizer", async () => {
    const model = makeModel();
    model.tokenizers = { target: new CharTokenizer([...'abcdefghijk']) };
    const endless = await model.generate(inputs, { maxNewTokens: 10 });
    expect(endless.finishReasons).toEqual(['length', 'length', 'length']);
    model.tokenizers = {
      target: new CharTokenizer([...'abcdefghijk'], { eos: 'abcdefghijk'[endless.sequences[0]![3]!]! }),
    };
    const { finishReasons, sequences } = await model.generate(inputs, { maxNewTokens: 10 });
    expect(finishReasons[0]).toBe('stop');
    expect(sequences[0]!.length).toBeLessThan(4);
    model.dispose();
  });

  it('does not end before minNewTokens', async () => {
    const model = makeModel();
    const push = (scores: Float32Array) => scores.fill(100, 2, 3);
    for (const numBeams of [1, 3]) {
      const options = { numBeams, minNewTokens: 5, logitsProcessors: [] };
      expect((await model.generate(inputs, { numBeams, logitsProcessors: [push] })).sequences[0]!.length).toBeLessThan(
        3,
      );
      for (const tokens of (await model.generate(inputs, options)).sequences) {
        expect(tokens.length).toBeGreaterThanOrEqual(5);
      }
    }
    model.dispose();
  });

  it("ends by default at 256 tokens or at the model's maximum length", async () => {
    const model = makeModel({ ...decoderOnly, maxLength: 300 });
    const { sequences } = await model.generate([[3], Array(290).fill(4)], { stopTokens: [] });
    expect(sequences.map((tokens) => tokens.length)).toEqual([11, 11]);
    const [long] = (await model.generate([[3]], { stopTokens: [] })).sequences;
    expect(long!.length).toBe(256);
    model.dispose();
  });
});

describe('what comes first', () => {
  it('may be given as typed arrays', async () => {
    const model = makeModel();
    for (const numBeams of [1, 2]) {
      const expected = await model.generate(inputs, { prefix: [4, 5], stopTokens: [2], numBeams });
      const one = Int32Array.of(4, 5);
      const options = { stopTokens: Int32Array.of(2), numBeams };
      expect(await model.generate(inputs, { prefix: one, ...options })).toEqual(expected);
      expect(await model.generate(inputs, { prefix: inputs.map(() => one), ...options })).toEqual(expected);
    }
    model.dispose();
  });

  it('is only a prompt, and never ends, if the vocabulary has no special tokens', async () => {
    const model = makeModel({ ...decoderOnly, bosId: null, eosId: null });
    expect([model.startId, model.endIds, model.config.eosId]).toEqual([null, [], null]);
    const end = (scores: Float32Array) => scores.fill(100, 2, 3); // 2 is where models end by default
    const { sequences, finishReasons } = await model.generate([[5]], { logitsProcessors: [end], maxNewTokens: 4 });
    expect([sequences, finishReasons]).toEqual([[[2, 2, 2, 2]], ['length']]);
    await expect(model.generate([[]])).rejects.toThrow('bosId is null, but it begins outputs');
    model.dispose();
  });

  it('refuses a start that is not a token', async () => {
    const model = makeModel({ targetVocab: 1 });
    const wrong = expect(model.generate(inputs)).rejects;
    await wrong.toThrow(ArgumentError);
    await wrong.toThrow('bosId is 1, but it begins outputs and targetVocab is 1');
    model.dispose();
    const decoder = makeModel({ ...decoderOnly, targetVocab: 1 });
    await expect(decoder.generate([[0], []])).rejects.toThrow('prompts that are not empty');
    expect((await decoder.generate([[0]], { maxNewTokens: 2 })).sequences).toEqual([[0, 0]]);
    decoder.dispose();
  });
});

describe('penalties', () => {
  it('prevent repeated n-grams', async () => {
    const model = makeModel();
    for (const numBeams of [1, 3]) {
      const options = { numBeams, noRepeatNgramSize: 2, stopTokens: [], maxNewTokens: 20 };
      for (const tokens of (await model.generate(inputs, options)).sequences) {
        const pairs = tokens.slice(1).map((token, i) => `${tokens[i]} ${token}`);
        expect(new Set(pairs).size).toBe(pairs.length);
      }
    }
    model.dispose();
  });

  it('a score of +Infinity forces a token, and the first of several without sampling', async () => {
    const model = makeModel(decoderOnly);
    const force = (scores: Float32Array) => scores.fill(Number.POSITIVE_INFINITY, 7, 9);
    const options = { logitsProcessors: [force], maxNewTokens: 3 };
    expect((await model.generate([[3]], options)).sequences).toEqual([[7, 7, 7]]);
    const settings = { doSample: true, temperature: 0.5, topP: 0.9, minP: 0.1, numReturnSequences: 20 };
    const { sequences } = await model.generate([[3]], { ...options, ...settings });
    expect(new Set(sequences.flat())).toEqual(new Set([7, 8]));
    const spoil = (scores: Float32Array) => scores.fill(Number.NaN, 3, 4);
    const both = { ...options, logitsProcessors: [force, spoil] };
    await expect(model.generate([[3]], both)).rejects.toThrow('some scores are NaN');
    model.dispose();
  });

  it('custom processors get scores and the tokens read', async () => {
    const model = makeModel(decoderOnly);
    const seen: number[][] = [];
    const only = (scores: Float32Array, tokens: readonly number[]) => {
      seen.push([...tokens]);
      scores.fill(Number.NEGATIVE_INFINITY);
      scores[9] = 0;
    };
    const { sequences } = await model.generate([[3, 4]], { logitsProcessors: [only], maxNewTokens: 3 });
    expect(sequences).toEqual([[9, 9, 9]]);
    expect(seen).toEqual([
      [3, 4],
      [3, 4, 9],
      [3, 4, 9, 9],
    ]);
    model.dispose();
  });
});
