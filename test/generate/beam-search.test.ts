import { describe, expect, it } from 'vitest';
import { CLOSE, decoderOnly, expectClose, inputs, makeModel } from './small-model.js';

describe('beam search', () => {
  it('equals greedy search with one beam', async () => {
    const model = makeModel();
    expect(await model.generate(inputs, { numBeams: 1 })).toEqual(await model.generate(inputs));
    model.dispose();
  });

  it('finds no worse output than greedy search', async () => {
    for (let seed = 0; seed < 5; seed++) {
      const model = makeModel({ seed });
      const options = { maxNewTokens: 10, lengthPenalty: 0 };
      const greedy = await model.generate(inputs, options);
      const beams = await model.generate(inputs, { ...options, numBeams: 6, earlyStopping: 'never' });
      beams.scores.forEach((score, i) => {
        expect(score).toBeGreaterThan(greedy.scores[i]! - CLOSE);
      });
      model.dispose();
    }
  });

  it.each([-0.5, 0, 0.7, 1, 2])(
    'with as many beams as there are outputs ranks them all: lengthPenalty %f',
    async (lengthPenalty) => {
      const model = makeModel({ targetVocab: 4 });
      // All outputs of at most three tokens, from the tokens 0, 1, 3, and the end 2.
      const outputs: number[][] = [];
      const extend = (tokens: number[]) => {
        outputs.push(tokens.length < 3 ? [...tokens, 2] : tokens);
        if (tokens.length < 3) for (const token of [0, 1, 3]) extend([...tokens, token]);
      };
      extend([]);
      const ended = [...outputs, ...[...outputs].filter((tokens) => tokens.length === 3 && tokens[2] !== 2)];
      const unique = [...new Map(ended.map((tokens) => [tokens.join(), tokens])).values()];
      expect(unique.length).toBe(1 + 3 + 9 + 27);
      const source = unique.map(() => inputs[0]!);
      const { scores } = await model.score(
        { ids: source.flat(), lengths: source.map((row) => row.length) },
        {
          ids: unique.flatMap((tokens) => [1, ...tokens]),
          lengths: unique.map((tokens) => tokens.length + 1),
        },
      );
      const ranked = unique
        .map((tokens, i) => ({ tokens, score: scores[i]! / tokens.length ** lengthPenalty }))
        .sort((a, b) => b.score - a.score);
      const found = await model.generate([inputs[0]!], {
        numBeams: 40,
        numReturnSequences: 40,
        maxNewTokens: 3,
        earlyStopping: 'never',
        lengthPenalty,
      });
      expect(found.scores.length).toBe(40);
      found.scores.forEach((score, i) => {
        expect(Math.abs(score - ranked[i]!.score)).toBeLessThan(CLOSE);
        const { tokens } = ranked[i]!;
        expect(found.sequences[i]).toEqual(tokens.at(-1) === 2 ? tokens.slice(0, -1) : tokens);
        expect(found.finishReasons[i]).toBe(tokens.at(-1) === 2 ? 'stop' : 'length');
      });
      model.dispose();
    },
  );

  it('returns the n best, best first', async () => {
    const model = makeModel();
    const { scores, inputs: of, sequences } = await model.generate(inputs, { numBeams: 4, numReturnSequences: 3 });
    expect(of).toEqual([0, 0, 0, 1, 1, 1, 2, 2, 2]);
    for (const first of [0, 3, 6]) {
      const three = scores.slice(first, first + 3);
      expect(three).toEqual([...three].sort((a, b) => b - a));
      expect(new Set(sequences.slice(first, first + 3).map(String)).size).toBe(3);
    }
    model.dispose();
  });

  it('continues without a beam that has no continuation', async () => {
    const model = makeModel(decoderOnly);
    const options = { numBeams: 2, numReturnSequences: 2, maxNewTokens: 4, stopTokens: [] };
    const [best, second] = (await model.generate([[3]], { ...options, maxNewTokens: 1 })).sequences as number[][];
    const forbid = (scores: Float32Array, tokens: readonly number[]) => {
      if (tokens[1] === best![0]) scores.fill(Number.NEGATIVE_INFINITY);
    };
    for (const doSample of [false, true]) {
      const { sequences } = await model.generate([[3]], { ...options, doSample, logitsProcessors: [forbid] });
      expect(sequences.length).toBe(2);
      for (const tokens of sequences) expect(tokens).toHaveLength(4);
      if (!doSample) for (const tokens of sequences) expect(tokens[0]).toBe(second![0]);
    }
    model.dispose();
  });

  it('returns fewer sequences if fewer exist, with the index of their input', async () => {
    const model = makeModel({ ...decoderOnly, targetVocab: 3 });
    const options = { numBeams: 20, numReturnSequences: 20, noRepeatNgramSize: 2, stopTokens: [] };
    // All 9 pairs, each once: most walks reach a dead end before, so beams drop out on their way.
    const { sequences, inputs: of } = await model.generate([[0], [1]], { ...options, maxNewTokens: 9 });
    expect(sequences.length).toBeLessThan(40);
    expect(new Set(of)).toEqual(new Set([0, 1]));
    expect(of.length).toBe(sequences.length);
    await expect(model.generate([[0]], { ...options, maxNewTokens: 10 })).rejects.toThrow('every token is forbidden');
    const { sequences: ended } = await model.generate([[0]], { ...options, maxNewTokens: 10, stopTokens: [2] });
    expect(ended.length).toBeGreaterThan(0); // no beam goes on, but some had finished
    const forced = await model.generate([[0]], { ...options, noRepeatNgramSize: 0, prefix: [1], maxNewTokens: 1 });
    expect(forced.sequences).toEqual([[1]]);
    model.dispose();
  });

  it('gives a forced token the log-probability 0', async () => {
    const model = makeModel(decoderOnly);
    const force = (scores: Float32Array, tokens: readonly number[]) => {
      if (tokens.length === 1) scores[7] = Number.POSITIVE_INFINITY;
    };
    const options = { numBeams: 3, lengthPenalty: 0, maxNewTokens: 3, stopTokens: [], logitsProcessors: [force] };
    const { sequences, scores, logProbabilities } = await model.generate([[3]], options);
    expect(sequences[0]![0]).toBe(7);
    expectClose(scores, [logProbabilities[0]!.slice(1).reduce((sum, value) => sum + value, 0)]);
    model.dispose();
  });

  it('gives the same bits beside inputs that have a prefix', async () => {
    const model = makeModel(decoderOnly);
    const options = { numBeams: 3, numReturnSequences: 3, minNewTokens: 5, maxNewTokens: 10 };
    const alone = await model.generate([[3, 4]], options);
    const beside = await model.generate([[3, 4], [5]], { ...options, prefix: [[], [6, 7, 8, 9, 3, 4]] });
    expect(beside.sequences.slice(0, 3)).toEqual(alone.sequences);
    expect(beside.scores.slice(0, 3)).toEqual(alone.scores);
    expect(beside.logProbabilities.slice(0, 3)).toEqual(alone.logProbabilities);
    model.dispose();
  });

  it.each([1, 2])('accepts forced tokens that are the only allowed ones: %i beams', async (numBeams) => {
    const model = makeModel({ ...decoderOnly, targetVocab: 6 });
    const options = { numBeams, minNewTokens: 2, stopTokens: [0, 1, 2, 3, 4, 5] };
    expect((await model.generate([[3]], { ...options, prefix: [4, 5] })).sequences).toEqual([[4, 5]]);
    await expect(model.generate([[3]], options)).rejects.toThrow('every token is forbidden');
    model.dispose();
  });

  it('stops earlier on request', async () => {
    const model = makeModel();
    const lengths: number[] = [];
    for (const earlyStopping of [true, false, 'never'] as const) {
      let steps = 0;
      const count = () => {
        steps++;
      };
      await model.generate([inputs[0]!], { numBeams: 4, earlyStopping, lengthPenalty: 2, logitsProcessors: [count] });
      lengths.push(steps);
    }
    expect(lengths).toEqual([...lengths].sort((a, b) => a - b));
    model.dispose();
  });
});

describe('beam sampling', () => {
  it('draws continuations without replacement, by their probabilities', async () => {
    const model = makeModel({ ...decoderOnly, targetVocab: 6 });
    const logits = ((await model.forward([[3]]).data()) as Float32Array).slice(-6).map((logit) => logit / 4);
    const total = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
    const p = Array.from(logits, (logit) => Math.exp(logit) / total);
    // The two most probable of four drawn candidates stay. Probability of each pair, over all orders in which four can
    // be drawn:
    const expected = new Map<string, number>();
    const draw = (drawn: number[], chance: number, left: number) => {
      if (drawn.length === 4) {
        const pair = [...drawn].sort((a, b) => p[b]! - p[a]!).slice(0, 2);
        expected.set(pair.join(), (expected.get(pair.join()) ?? 0) + chance);
        return;
      }
      for (let token = 0; token < 6; token++) {
        if (!drawn.includes(token)) draw([...drawn, token], (chance * p[token]!) / left, left - p[token]!);
      }
    };
    draw([], 1, 1);
    const draws = 2000;
    const options = {
      temperature: 4,
      numBeams: 2,
      numReturnSequences: 2,
      doSample: true,
      maxNewTokens: 1,
      stopTokens: [],
      batchSize: draws,
    };
    const { sequences } = await model.generate(Array(draws).fill([3]), options);
    const counts = new Map<string, number>();
    for (let i = 0; i < 2 * draws; i += 2) {
      const pair = [sequences[i]![0], sequences[i + 1]![0]].join();
      counts.set(pair, (counts.get(pair) ?? 0) + 1);
    }
    const common = [...expected].filter(([, chance]) => chance * draws >= 5);
    const chiSquare = common.reduce((sum, [pair, chance]) => {
      return sum + ((counts.get(pair) ?? 0) - chance * draws) ** 2 / (chance * draws);
    }, 0);
    expect(common.length).toBeGreaterThan(2);
    expect(chiSquare).toBeLessThan(38); // at most 14 degrees of freedom: above 38.1 with probability 0.0005
    model.dispose();
  });

  it('is reproducible, ranked by score, and equals beam search if nothing is random', async () => {
    const model = makeModel();
    const options = { numBeams: 4, numReturnSequences: 4, doSample: true, seed: 1 };
    const first = await model.generate(inputs, options);
    expect(await model.generate(inputs, options)).toEqual(first);
    expect((await model.generate(inputs, { ...options, seed: 2 })).sequences).not.toEqual(first.sequences);
    for (const at of [0, 4, 8]) {
      const scores = first.scores.slice(at, at + 4);
      expect(scores).toEqual([...scores].sort((a, b) => b - a));
    }
    const cold = { numBeams: 2, earlyStopping: true, maxNewTokens: 6 };
    const search = await model.generate(inputs, cold);
    expect((await model.generate(inputs, { ...cold, doSample: true, temperature: 1e-5 })).sequences[1]).toEqual(
      search.sequences[1],
    );
    model.dispose();
  });
});
