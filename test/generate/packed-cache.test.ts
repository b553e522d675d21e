// Keys and values of 16 and 8 bits, wherever a model writes.
import { describe, expect, it } from 'vitest';
import { type CacheType, ContinuousBatching, PromptCache } from '../../src/generate/index.js';
import { ArgumentError, type GenerateOptions, type Transformer } from '../../src/index.js';
import { decoderOnly, inputs, kinds, makeModel } from './small-model.js';

const packed = ['float16', 'int8'] as const;
const rotary = { ...decoderOnly, positions: 'rotary', norm: 'pre', maxLength: 64, kvHeads: 1, heads: 4 } as const;
const text = (length: number, seed = 1) => Array.from({ length }, (_, i) => 3 + ((i * i + seed * i) % 8));
const options = { maxNewTokens: 12, stopTokens: [] };

/** The allowed error of log-probabilities of the same tokens. It is large, because a model of 16 features rounds coarsely. */
const OFF = { float16: 5e-3, int8: 0.15 };

function expectNear(type: (typeof packed)[number], actual: readonly number[], expected: readonly number[]): void {
  for (const [i, value] of actual.entries()) expect(Math.abs(value - (expected[i] as number))).toBeLessThan(OFF[type]);
}

/** The log-probabilities of the same tokens with each type. */
async function logProbabilities(model: Transformer, rows: number[][], more: GenerateOptions = {}) {
  const { sequences } = await model.generate(rows, options);
  const of = async (cacheType: CacheType) => {
    const same = { ...options, ...more, cacheType, prefix: sequences };
    return (await model.generate(rows, same)).logProbabilities;
  };
  return { plain: await of('float32'), float16: await of('float16'), int8: await of('int8') };
}

describe.each(Object.entries(kinds))('packed keys and values, %s', (_, kind) => {
  it('are near to float32, but not equal', async () => {
    const model = makeModel(kind);
    const { plain, ...others } = await logProbabilities(model, inputs);
    for (const type of packed) {
      for (const [i, row] of others[type].entries()) expectNear(type, row, plain[i] as number[]);
      expect(others[type]).not.toEqual(plain);
    }
    model.dispose();
  });

  it.each(packed)("%s: are used by the model's setting, alone and in a batch, with beams and samples", async (type) => {
    const model = makeModel(kind);
    for (const more of [{}, { numBeams: 3, numReturnSequences: 2 }, { doSample: true, numReturnSequences: 2 }]) {
      const together = await model.generate(inputs, { ...options, ...more, cacheType: type });
      model.cacheType = type;
      const count = together.sequences.length / inputs.length;
      for (const [i, input] of inputs.entries()) {
        if ('doSample' in more) break; // draws depend on the place in the batch
        const alone = await model.generate([input], { ...options, ...more });
        expect(alone.sequences).toEqual(together.sequences.slice(i * count, (i + 1) * count));
        expect(alone.logProbabilities).toEqual(together.logProbabilities.slice(i * count, (i + 1) * count));
      }
      expect(await model.generate(inputs, { ...options, ...more })).toEqual(together);
      model.cacheType = 'float32';
    }
    model.dispose();
  });
});

describe.each(packed)('%s of a decoder', (type) => {
  it('take a half, or about a quarter, of the memory', () => {
    const model = makeModel({ ...rotary, dModel: 256 });
    const words = (cacheType: CacheType) => {
      using state = model.startDecoding({ cacheType });
      return state.caches[0]?.shape[2] as number;
    };
    expect(words(type) / words('float32')).toBe({ float16: 0.5, int8: 0.265625 }[type]);
    model.dispose();
  });

  it('give the same results in chunks as at once, and can be continued', async () => {
    const model = makeModel(rotary);
    const prompt = text(40);
    using whole = model.startDecoding({ cacheType: type });
    using parts = model.startDecoding({ cacheType: type });
    const first = model.prefill(whole, [prompt]).dataSync();
    model.extend(parts, [prompt.slice(0, 13)], { logits: 'none' });
    expect(model.extend(parts, [prompt.slice(13)], { starts: [13] }).dataSync()).toEqual(first);
    const every = model.extend(parts, [prompt.slice(20, 30)], { starts: [20], logits: 'every' }).dataSync();
    whole.setLength(0, 29);
    whole.tokens.write(Int32Array.of(prompt[29] as number));
    expect(model.step(whole).dataSync()).toEqual(every.subarray(-model.vocabSize));
    model.dispose();
  });

  it('work with prompt caches, their forks, and drafts', async () => {
    const model = makeModel(rotary);
    using cache = new PromptCache(model, { cacheType: type });
    expect(cache.cacheType).toBe(type);
    const plain = await model.generate([text(20)], { ...options, cacheType: type });
    expect((await model.generate([text(20)], { ...options, cache })).sequences).toEqual(plain.sequences);
    using fork = cache.fork();
    expect(fork.cacheType).toBe(type);
    const longer = [...text(20), ...(plain.sequences[0] as number[]), ...text(4, 2)];
    const [a, b] = [
      await model.generate([longer], { ...options, cache }),
      await model.generate([longer], { ...options, cache: fork }),
    ];
    expect(a).toEqual(b);
    using other = new PromptCache(model);
    expect(() => other.share(cache, longer)).toThrow(ArgumentError);
    const [guessed, stepped] = [
      await model.generate([text(20)], { ...options, cacheType: type, draft: 'prompt' }),
      await model.generate([text(20)], { ...options, cache: new PromptCache(model, { cacheType: type }) }),
    ];
    expect(guessed).toEqual(stepped);
    model.dispose();
  });

  it('give a request its results alone, beside any other requests', async () => {
    const model = makeModel(rotary);
    const prompts = [text(9), text(17, 2), text(3, 3), [...text(9), 4, 5], text(12, 5)];
    const answers = async (parallel: number) => {
      const batching = new ContinuousBatching(model, { parallel, cacheType: type, chunk: 5 });
      const all = await Promise.all(
        prompts.map(async (prompt, i) => {
          const tokens = [];
          const stream = batching.stream(prompt, { maxNewTokens: 6 + 2 * i, stopTokens: [] });
          for await (const { token, logProbability } of stream) tokens.push([token, logProbability]);
          return tokens;
        }),
      );
      await batching.dispose();
      return all;
    };
    expect(await answers(3)).toEqual(await answers(1));
    model.dispose();
  });
});

it('refuse other types', async () => {
  const model = makeModel(rotary);
  const cacheType = 'int4' as 'int8';
  await expect(model.generate([text(3)], { ...options, cacheType })).rejects.toThrow(
    'cacheType is "int4", expected one of float32, float16, int8',
  );
  expect(() => model.startDecoding({ cacheType })).toThrow(ArgumentError);
  expect(() => new PromptCache(model, { cacheType })).toThrow(ArgumentError);
  expect(() => new ContinuousBatching(model, { cacheType })).toThrow(ArgumentError);
  using own = new PromptCache(model);
  for (const [old, message] of [
    [{ cache: 'int8' }, 'cache is "int8", expected a PromptCache'],
    [{ cache: own, cacheType: 'int8' }, 'cache has a format of its own'],
  ] as const)
    await expect(model.generate([text(3)], { ...options, ...old } as never)).rejects.toThrow(message);
  using int8 = model.startDecoding({ cacheType: 'int8' });
  using float16 = model.startDecoding({ cacheType: 'float16' });
  expect(() => int8.copySequence(0, 0, 1, float16)).toThrow(ArgumentError);
  model.dispose();
});
