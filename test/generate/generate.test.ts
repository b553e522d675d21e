import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ArgumentError,
  CharTokenizer,
  CommandError,
  createDevice,
  type Device,
  type GenerateOptions,
  type GenerateResult,
  type Positions,
  ShapeError,
  SimdformerError,
  type TokenEvent,
  Transformer,
  type TransformerOptions,
} from '../../src/index.js';

const size: TransformerOptions = {
  ...{ dModel: 16, heads: 2, dFF: 32, encoderLayers: 2, decoderLayers: 2, sourceVocab: 12, targetVocab: 11 },
  ...{ maxLength: 24, seed: 3 },
};

/** Sources or prompts of different lengths. */
const inputs = [[5, 6, 7, 8, 9], [4], [3, 3, 10, 4, 5, 6, 7]];

/** Log-probabilities of the same tokens, computed in steps, in one pass, or in another batch, differ by rounding only. */
const CLOSE = 5e-5;

function expectClose(actual: readonly number[], expected: readonly number[]): void {
  expect(actual.length).toBe(expected.length);
  for (const [i, value] of actual.entries()) expect(Math.abs(value - expected[i]!)).toBeLessThan(CLOSE);
}

let device: Device;
beforeAll(async () => {
  device = await createDevice({ threads: 2 });
});
afterAll(() => device.dispose());

function makeModel(options: TransformerOptions = {}): Transformer {
  const model = new Transformer(device, { ...size, ...options });
  // Weights large enough for decided, different outputs.
  for (const [name, parameter] of model.namedParameters()) {
    if (name === 'generator.weight') parameter.write(parameter.dataSync().map((w) => 4 * w) as Float32Array);
  }
  return model;
}

const decoderOnly: TransformerOptions = { encoderLayers: 0 };
const kinds = { 'encoder–decoder': {}, 'decoder-only': decoderOnly };

/** What `score` takes for a generated sequence: what the decoder read, and the end if there was one. */
function targetsOf(model: Transformer, rows: number[][], result: GenerateResult) {
  const { bosId, eosId, encoderLayers } = model.config;
  const targets = result.sequences.map((tokens, i) => {
    const start = encoderLayers > 0 ? [bosId] : rows[result.inputs[i]!]!;
    return [...start, ...tokens, ...(result.logProbabilities[i]!.length > tokens.length ? [eosId] : [])];
  });
  return { ids: targets.flat(), lengths: targets.map((row) => row.length) }; // padding that was generated counts, too
}

describe.each(Object.entries(kinds))('%s', (_, kind) => {
  const positions: Positions['kind'][] = ['sinusoidal', 'learned', 'relativeBias', 'shaw'];
  const searches: Record<string, GenerateOptions> = {
    greedy: {},
    beams: { numBeams: 5, numReturnSequences: 5 },
    samples: { doSample: true, numReturnSequences: 3 },
  };

  it.each(positions.flatMap((p) => Object.entries(searches).map(([name, options]) => ({ p, name, options }))))(
    'cached steps give what one full pass gives: $p, $name',
    async ({ p, options }) => {
      const model = makeModel({ ...kind, positions: p });
      const result = await model.generate(inputs, { maxNewTokens: 12, ...options });
      const source = model.config.encoderLayers > 0 ? result.inputs.map((i) => inputs[i]!) : null;
      const targets = targetsOf(model, inputs, result);
      const scored = await model.score(source, targets);
      result.logProbabilities.forEach((values, i) => {
        const full = scored.logProbabilities[i]!.slice(-values.length);
        expectClose(values, full);
        const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
        expect(result.scores[i]).toBeCloseTo(mean, 6);
      });
      model.dispose();
    },
  );

  it('greedy takes the most probable token of a full pass', async () => {
    const model = makeModel(kind);
    const { sequences } = await model.generate(inputs, { maxNewTokens: 8, stopTokens: [] });
    for (const [i, input] of inputs.entries()) {
      const read = model.config.encoderLayers > 0 ? [1] : [...input];
      for (let t = 0; t < 8; t++) {
        const logits = model.config.encoderLayers > 0 ? model.forward([input], [read]) : model.forward([read]);
        const last = (await logits.data()).slice(-model.config.targetVocab);
        read.push(last.indexOf(Math.max(...last)));
      }
      expect(sequences[i]).toEqual(read.slice(-8));
    }
    model.dispose();
  });

  it('a batch gives what its items give alone', async () => {
    const model = makeModel(kind);
    for (const options of [{}, { numBeams: 3 }, { numBeams: 3, repetitionPenalty: 1.3, noRepeatNgramSize: 2 }]) {
      const together = await model.generate(inputs, { maxNewTokens: 10, ...options });
      for (const [i, input] of inputs.entries()) {
        const alone = await model.generate([input], { maxNewTokens: 10, ...options });
        expect(alone.sequences[0]).toEqual(together.sequences[i]);
        expectClose(alone.logProbabilities[0]!, together.logProbabilities[i]!);
      }
    }
    model.dispose();
  });

  it('more inputs than a batch holds come in their order', async () => {
    const model = makeModel(kind);
    const many = Array.from({ length: 11 }, (_, i) =>
      Array.from({ length: 1 + ((i * 5) % 7) }, (_, j) => 3 + ((i + j) % 8)),
    );
    for (const options of [{}, { numBeams: 2, numReturnSequences: 2 }, { doSample: true, numReturnSequences: 2 }]) {
      const together = await model.generate(many, { maxNewTokens: 8, ...options });
      const events: TokenEvent[] = [];
      const onToken = options.numBeams ? {} : { onToken: (event: TokenEvent) => events.push(event) };
      const taken = await model.generate(many, { maxNewTokens: 8, batchSize: 3, ...options, ...onToken });
      expect(taken.sequences).toEqual(together.sequences);
      expect(taken.inputs).toEqual(together.inputs);
      for (const [i, values] of taken.logProbabilities.entries()) expectClose(values, together.logProbabilities[i]!);
      for (const [i, tokens] of options.numBeams ? [] : taken.sequences.entries()) {
        expect(events.filter(({ sequence }) => sequence === i).map(({ token }) => token)).toEqual(tokens);
      }
    }
    model.dispose();
  });

  it('a forced prefix begins the output and counts in the score', async () => {
    const model = makeModel(kind);
    for (const options of [{}, { numBeams: 3 }]) {
      const free = await model.generate(inputs, { maxNewTokens: 9, ...options });
      const own = await model.generate(inputs, {
        ...{ maxNewTokens: 9, ...options },
        prefix: free.sequences.map((tokens) => tokens.slice(0, 2)),
      });
      if (!options.numBeams) expect(own).toEqual(free);
      const prefix = [7, 2, 9]; // the end in it ends nothing
      const forced = await model.generate(inputs, { maxNewTokens: 9, prefix, ...options });
      for (const tokens of forced.sequences) expect(tokens.slice(0, 3)).toEqual(prefix);
      const source = model.config.encoderLayers > 0 ? inputs : null;
      const { logProbabilities } = await model.score(source, targetsOf(model, inputs, forced));
      forced.logProbabilities.forEach((values, i) => {
        const sum = (list: number[]) => list.reduce((total, value) => total + value, 0);
        expect(Math.abs(sum(values) - sum(logProbabilities[i]!.slice(-values.length)))).toBeLessThan(CLOSE);
      });
    }
    model.dispose();
  });

  it('outputAttentions gives a row for every choice', async () => {
    const model = makeModel(kind);
    const { attentions, logProbabilities } = await model.generate(inputs, { maxNewTokens: 6, outputAttentions: true });
    expect(attentions?.decoder.length).toBe(2);
    const [batch, heads, rows] = attentions!.decoder[0]!.shape;
    const prompt = model.config.encoderLayers > 0 ? 1 : 7;
    expect([batch, heads]).toEqual([3, 2]);
    expect(rows).toBe(prompt - 1 + Math.max(...logProbabilities.map((row) => row.length)));
    expect(attentions?.cross.length).toBe(model.config.encoderLayers);
    expect((await model.generate(inputs, { maxNewTokens: 6 })).attentions).toBeUndefined();
    model.dispose();
  });
});

describe('beam search', () => {
  it('with one beam is greedy', async () => {
    const model = makeModel();
    expect(await model.generate(inputs, { numBeams: 1 })).toEqual(await model.generate(inputs));
    model.dispose();
  });

  it('finds nothing worse than greedy does', async () => {
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
      // Of the tokens 0, 1, 3, and the end 2: all outputs of at most three tokens.
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
        ...{ numBeams: 40, numReturnSequences: 40, maxNewTokens: 3, earlyStopping: 'never', lengthPenalty },
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

  it('stops earlier when told to', async () => {
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

describe('sampling', () => {
  it('draws tokens by their probabilities', async () => {
    const model = makeModel(decoderOnly);
    const logits = ((await model.forward([inputs[0]!]).data()) as Float32Array).slice(-11);
    const total = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
    const draws = 5000;
    const { sequences } = await model.generate([inputs[0]!], {
      ...{ doSample: true, numReturnSequences: draws, maxNewTokens: 1, stopTokens: [], seed: 8 },
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
    expect(chiSquare).toBeLessThan(35); // of at most 10 degrees of freedom: above 35.6 with probability 0.0001
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

  it('from the best token alone is greedy', async () => {
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

describe('where outputs end', () => {
  it('at stop tokens, which are left out, at the stop function, or at the greatest length', async () => {
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

  it("at the target tokenizer's end, if there is a tokenizer", async () => {
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

  it('not before minNewTokens', async () => {
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

  it('by default at 256 tokens or where the model ends', async () => {
    const model = makeModel({ ...decoderOnly, maxLength: 300 });
    const { sequences } = await model.generate([[3], Array(290).fill(4)], { stopTokens: [] });
    expect(sequences.map((tokens) => tokens.length)).toEqual([11, 11]);
    const [long] = (await model.generate([[3]], { stopTokens: [] })).sequences;
    expect(long!.length).toBe(256);
    model.dispose();
  });
});

describe('penalties', () => {
  it('no n-gram comes twice', async () => {
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

  it('own processors see scores and what was read', async () => {
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

describe('streaming', () => {
  it('gives every token as it is chosen, and the result at the end', async () => {
    const model = makeModel();
    const expected = await model.generate(inputs, { doSample: true });
    const events: TokenEvent[] = [];
    const stream = model.stream(inputs, { doSample: true });
    for (;;) {
      const { value, done } = await stream.next();
      if (done) {
        expect(value).toEqual(expected);
        break;
      }
      events.push(value);
    }
    expected.sequences.forEach((tokens, i) => {
      const own = events.filter(({ sequence }) => sequence === i);
      expect(own.map(({ token }) => token)).toEqual(tokens);
      expect(own.map(({ logProbability }) => logProbability)).toEqual(
        expected.logProbabilities[i]!.slice(0, tokens.length),
      );
    });
    const called: TokenEvent[] = [];
    await model.generate(inputs, { doSample: true, onToken: (event) => called.push(event) });
    expect(called).toEqual(events);
    model.dispose();
  });

  it('ends when a callback throws', async () => {
    const model = makeModel();
    const { sequences } = await model.generate(inputs);
    const { used } = device.memory();
    const onToken = () => {
      throw new Error('no more');
    };
    await expect(model.generate(inputs, { onToken })).rejects.toThrow('no more');
    expect((await model.generate(inputs)).sequences).toEqual(sequences);
    expect(device.memory().used).toBe(used);
    model.dispose();
  });

  it('ends when the loop is left', async () => {
    const model = makeModel();
    const options = { stopTokens: [] };
    const all = await model.generate([inputs[0]!], options);
    for await (const { token } of model.stream([inputs[0]!], options)) {
      expect(token).toBe(all.sequences[0]![0]);
      break;
    }
    expect(await model.generate([inputs[0]!], options)).toEqual(all);
    model.dispose();
  });

  it('ends with the reason of an aborted signal', async () => {
    const model = makeModel();
    const before = AbortSignal.abort();
    await expect(model.generate(inputs, { signal: before })).rejects.toMatchObject({ name: 'AbortError' });
    for (const numBeams of [1, 2]) {
      const controller = new AbortController();
      let steps = 0;
      const abort = () => {
        if (++steps === 4) controller.abort(new Error('enough'));
      };
      const options = { numBeams, signal: controller.signal, logitsProcessors: [abort], stopTokens: [] };
      await expect(model.generate([inputs[0]!], options)).rejects.toThrow('enough');
      expect(steps).toBeLessThanOrEqual(4 * numBeams);
    }
    model.dispose();
  });

  it('leaves the event loop free, however short its steps', async () => {
    const model = makeModel();
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    const begin = performance.now();
    while (performance.now() - begin < 200) await model.generate(inputs, { stopTokens: [], maxNewTokens: 20 });
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(2); // one for each 5 ms, but on a busy machine everything takes longer
    model.dispose();
  });
});

describe('models and memory', () => {
  it('generations of one model can run at the same time', async () => {
    const model = makeModel();
    const options: GenerateOptions[] = [{}, { numBeams: 3 }, { doSample: true }, {}, { maxNewTokens: 5 }];
    const alone = [];
    for (const each of options) alone.push(await model.generate(inputs, each));
    expect(await Promise.all(options.map((each) => model.generate(inputs, each)))).toEqual(alone);
    model.dispose();
  });

  it('memory is used again, and given back with the model', async () => {
    const before = device.memory().used;
    const model = makeModel();
    await model.generate(inputs);
    const after = device.memory().used;
    for (let i = 0; i < 3; i++) await model.generate(inputs.slice(0, 2).concat([[4, 4, 4]]));
    expect(device.memory().used).toBe(after);
    for (let width = 1; width < 9; width++) await model.generate(Array(width).fill([3, 4]), { numBeams: 2 });
    await model.score(inputs, [
      [1, 5, 2],
      [1, 2],
      [1, 2],
    ]);
    model.dispose();
    expect(device.memory().used).toBe(before);
  });

  it('dropout is off, and training goes on afterwards', async () => {
    const model = makeModel({ dropout: 0.5 });
    const [first, second] = [await model.generate(inputs), await model.generate(inputs)];
    expect(first).toEqual(second);
    expect(model.training).toBe(true);
    expect(model.transformer.decoder!.layers[0]!.dropout.training).toBe(true);
    expect(
      await model.score(inputs, [
        [1, 5, 2],
        [1, 2],
        [1, 2],
      ]),
    ).toEqual(
      await model.score(inputs, [
        [1, 5, 2],
        [1, 2],
        [1, 2],
      ]),
    );
    model.dispose();
  });

  it('follows the parameters', async () => {
    const [model, other] = [makeModel(), makeModel({ seed: 9 })];
    const expected = await other.generate(inputs);
    expect(await model.generate(inputs)).not.toEqual(expected);
    model.loadStateDict(other.stateDict());
    expect(await model.generate(inputs)).toEqual(expected);
    model.dispose();
    other.dispose();
  });

  it('takes inputs in every form', async () => {
    const model = makeModel();
    const expected = await model.generate([
      [3, 4],
      [5, 6, 7],
    ]);
    const tensor = device.tensor(
      [
        [3, 4, 0],
        [5, 6, 7],
      ],
      undefined,
      { dtype: 'int32' },
    );
    const packed = { ids: [3, 4, 5, 6, 7], lengths: [2, 3] };
    for (const input of [tensor, packed, model.batch(packed)]) expect(await model.generate(input)).toEqual(expected);
    const decoder = makeModel(decoderOnly);
    expect(await decoder.generate([[]])).toEqual(await decoder.generate([[1]]));
    model.dispose();
    decoder.dispose();
  });
});

describe('bad input', () => {
  const wrong: [string, GenerateOptions][] = [
    ['maxNewTokens', { maxNewTokens: 0 }],
    ["model's maxLength", { maxNewTokens: 25 }],
    ['minNewTokens', { minNewTokens: 30 }],
    ['numBeams', { numBeams: 1.5 }],
    ['numReturnSequences', { numReturnSequences: 0 }],
    ['batchSize', { batchSize: 0 }],
    ['only 2 beams', { numBeams: 2, numReturnSequences: 3 }],
    ['needs beams or doSample', { numReturnSequences: 2 }],
    ['exclude each other', { numBeams: 2, doSample: true }],
    ['doSample', { topK: 3 }],
    ['temperature', { doSample: true, temperature: 0 }],
    ['temperature', { doSample: true, temperature: Number.NaN }],
    ['topK', { doSample: true, topK: -1 }],
    ['topP', { doSample: true, topP: 0 }],
    ['minP', { doSample: true, minP: 2 }],
    ['seed', { doSample: true, seed: -1 }],
    ['lengthPenalty', { numBeams: 2, lengthPenalty: Number.POSITIVE_INFINITY }],
    ['earlyStopping', { numBeams: 2, earlyStopping: 'always' as never }],
    ['repetitionPenalty', { repetitionPenalty: 0 }],
    ['noRepeatNgramSize', { noRepeatNgramSize: 1.5 }],
    ['stop token', { stopTokens: [11] }],
    ['prefix', { prefix: [99] }],
    ['prefix has 2 rows', { prefix: [[3], [4]] }],
    ['prefix has 4 tokens', { prefix: [3, 3, 3, 3], maxNewTokens: 3 }],
    ['onToken', { numBeams: 2, onToken: () => {} }],
  ];

  it.each(wrong)('%s: %o', async (message, options) => {
    const model = makeModel();
    const failure = expect(model.generate(inputs, options)).rejects;
    await failure.toThrow(ArgumentError);
    await failure.toThrow(message);
    model.dispose();
  });

  it('inputs that make no batch', async () => {
    const model = makeModel();
    await expect(model.generate([])).rejects.toThrow(ArgumentError);
    await expect(model.generate([[]])).rejects.toThrow(ShapeError);
    await expect(model.generate([[1.5]])).rejects.toThrow(ArgumentError);
    await expect(model.generate([Array(25).fill(3)])).rejects.toThrow(ShapeError);
    await expect(model.generate([[12]])).rejects.toThrow(CommandError);
    await expect(model.stream([[3]], { numBeams: 2 }).next()).rejects.toThrow(ArgumentError);
    const { sequences } = await model.generate(inputs);
    expect(sequences.length).toBe(3);
    const decoder = makeModel(decoderOnly);
    await expect(decoder.generate([Array(25).fill(3)])).rejects.toThrow('longer than the model');
    const encoder = makeModel({ decoderLayers: 0 });
    await expect(encoder.generate(inputs)).rejects.toThrow('no decoder');
    await expect(encoder.score(inputs, inputs)).rejects.toThrow('no decoder');
    await expect(model.score(inputs, [[1], [1], [1]])).rejects.toThrow(ShapeError);
    await expect(
      model.score(inputs, [
        [1, 11],
        [1, 2],
        [1, 2],
      ]),
    ).rejects.toThrow(ArgumentError);
    await expect(model.score(inputs, [[1, 2]])).rejects.toThrow(ShapeError);
    for (const each of [model, decoder, encoder]) each.dispose();
  });

  it('scores that allow no choice', async () => {
    const model = makeModel();
    for (const options of [{}, { numBeams: 2 }, { doSample: true }]) {
      const forbid = (scores: Float32Array) => scores.fill(Number.NEGATIVE_INFINITY);
      const failure = expect(model.generate(inputs, { ...options, logitsProcessors: [forbid] })).rejects;
      await failure.toThrow('every token is forbidden');
      const spoil = (scores: Float32Array) => scores.fill(Number.NaN, 3, 4);
      await expect(model.generate(inputs, { ...options, logitsProcessors: [spoil] })).rejects.toThrow(SimdformerError);
    }
    model.dispose();
  });
});
