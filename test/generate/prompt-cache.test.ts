// Text in a cache is not read again.
import { describe, expect, it } from 'vitest';
import { PromptCache } from '../../src/generate/index.js';
import { ArgumentError, DisposedError, type Transformer } from '../../src/index.js';
import { decoderOnly, device, expectClose, makeModel } from './small-model.js';

const rotary = { ...decoderOnly, positions: 'rotary', norm: 'pre', maxLength: 700 } as const;
const text = (length: number, seed = 1) => Array.from({ length }, (_, i) => 3 + ((i * i + seed * i) % 8));

/** Number of tokens that each pass reads. */
function countRead(model: Transformer): number[] {
  const read: number[] = [];
  const { extendInParts } = model;
  model.extendInParts = (...args) => {
    read.push((args[1] as number[][])[0]!.length);
    return extendInParts.apply(model, args);
  };
  return read;
}

describe('a prompt cache', () => {
  it('reads only new tokens, and gives the results of generation without it', async () => {
    const model = makeModel(rotary);
    const read = countRead(model);
    using cache = new PromptCache(model);
    let conversation = text(40);
    for (const turn of [text(5, 2), text(9, 3), text(2, 4)]) {
      const options = { maxNewTokens: 12, stopTokens: [] };
      const [cached, plain] = [
        await model.generate([conversation], { ...options, cache }),
        await model.generate([conversation], options),
      ];
      expect(cached.sequences).toEqual(plain.sequences);
      expectClose(cached.logProbabilities[0]!, plain.logProbabilities[0]!);
      conversation = [...conversation, ...cached.sequences[0]!];
      expect(cache.tokens).toEqual(conversation.slice(0, -1));
      conversation.push(...turn);
    }
    expect(read).toEqual([40, 6, 10]); // the newest generated token is read with the next turn
    model.dispose();
  });

  it('grows, and reads long prompts in parts', async () => {
    const model = makeModel(rotary);
    const read = countRead(model);
    const cache = new PromptCache(model);
    const options = { maxNewTokens: 40, stopTokens: [] };
    for (const length of [230, 650]) {
      const { sequences } = await model.generate([text(length)], options);
      read.length = 0; // without a cache, long prompts are read in parts, too
      expect((await model.generate([text(length)], { ...options, cache })).sequences).toEqual(sequences);
      expect(read).toEqual([length === 230 ? 230 : 420]);
    }
    read.length = 0;
    const other = await model.generate([text(600, 5)], { maxNewTokens: 1, cache });
    expect(read.reduce((sum, count) => sum + count)).toBeGreaterThan(590);
    expect(read).toHaveLength(2); // 512 and the rest
    expect(other.sequences).toEqual((await model.generate([text(600, 5)], { maxNewTokens: 1 })).sequences);
    model.dispose();
    await expect(model.generate([[3]], { cache })).rejects.toThrow(DisposedError);
  });

  it('forks, shares and truncates', async () => {
    const model = makeModel(rotary);
    const read = countRead(model);
    const options = { maxNewTokens: 5, stopTokens: [] };
    const cache = new PromptCache(model, { maxLength: 64 });
    await model.generate([text(20)], { ...options, cache });
    const fork = cache.fork();
    const [longer, other] = [
      [...text(20), 9, 9],
      [...text(12), 4, 4, 4],
    ];
    const expected = await model.generate([longer, other], options);
    expect((await model.generate([longer], { ...options, cache: fork })).sequences[0]).toEqual(expected.sequences[0]);
    expect(cache.tokens).toHaveLength(24);
    const third = new PromptCache(model);
    third.share(fork, other);
    expect(third.tokens).toEqual(text(12));
    expect((await model.generate([other], { ...options, cache: third })).sequences[0]).toEqual(expected.sequences[1]);
    cache.truncate(15);
    expect(cache.tokens).toEqual(text(15));
    expect((await model.generate([other], { ...options, cache })).sequences[0]).toEqual(expected.sequences[1]);
    expect(read).toEqual([20, 2, 3, 3]);
    for (const each of [cache, fork, third]) each.dispose();
    model.dispose();
  });

  it('holds the tokens that were read when a generation is aborted', async () => {
    const model = makeModel(rotary);
    const cache = new PromptCache(model);
    const controller = new AbortController();
    const options = { maxNewTokens: 200, stopTokens: [], cache };
    let written: number[] = [];
    const generation = (async () => {
      for await (const { token } of model.stream([text(20)], { ...options, signal: controller.signal })) {
        written.push(token);
        if (written.length === 7) controller.abort();
      }
    })();
    await expect(generation).rejects.toThrow('abort');
    expect(cache.tokens).toEqual([...text(20), ...written].slice(0, cache.tokens.length));
    expect(cache.tokens.length).toBeGreaterThan(24);
    written = written.slice(0, 3);
    const goOn = [...text(20), ...written, 5];
    const plain = await model.generate([goOn], { maxNewTokens: 30 });
    expect((await model.generate([goOn], { maxNewTokens: 30, cache })).sequences).toEqual(plain.sequences);
    for await (const _ of model.stream([goOn], options)) break;
    expect(cache.tokens.slice(0, goOn.length)).toEqual(goOn.slice(0, cache.tokens.length));
    model.dispose();
  });

  it('frees its memory', async () => {
    const model = makeModel(rotary);
    const used: number[] = [];
    for (let i = 0; i < 3; i++) {
      const cache = new PromptCache(model);
      await model.generate([text(300)], { maxNewTokens: 3, cache, draft: 'prompt' });
      cache.dispose();
      cache.dispose();
      device.flushSync();
      used.push(device.memory().used);
    }
    expect(used.slice(1)).toEqual([used[0], used[0]]); // the first makes tables that stay
    model.dispose();
  });

  it('refuses shapes, dtypes and options that do not fit', async () => {
    const model = makeModel(rotary);
    const cache = new PromptCache(model, { maxLength: 10 });
    const refused = async (options: object, message: string, of = model, rows = [[3, 4]]) => {
      await expect(of.generate(rows, { cache, ...options })).rejects.toThrow(message);
      await expect(of.generate(rows, { cache, ...options })).rejects.toThrow(ArgumentError);
    };
    await refused({}, 'cache is of one text, but there are 2 inputs', model, [[3], [4]]);
    await refused({ numBeams: 2 }, 'cache needs one sequence');
    await refused({ maxNewTokens: 10 }, 'at most 9');
    await refused({ cache: {} }, 'cache is an object, expected a PromptCache');
    const other = makeModel(rotary);
    await refused({}, 'the cache belongs to another model', other);
    const translator = makeModel();
    expect(() => new PromptCache(translator)).toThrow('expected a decoder-only model');
    expect(() => new PromptCache(model, { maxLength: 701 })).toThrow("1 to the model's maxLength, 700");
    const running = model.stream([[3, 4]], { cache, maxNewTokens: 4, stopTokens: [] });
    await running.next();
    await refused({}, 'the cache is in use by another generation');
    expect(() => cache.fork()).toThrow('in use');
    await running.return(undefined as never);
    await model.generate([[3, 4]], { cache });
    for (const each of [model, other, translator]) each.dispose();
  });
});
