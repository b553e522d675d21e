import { describe, expect, it } from 'vitest';
import { afterEvents } from '../../src/backend/after-events.js';
import { Random } from '../../src/core/random.js';
import {
  type BatchedOptions,
  type BatchedToken,
  ContinuousBatching,
  PromptCache,
  QueueFullError,
} from '../../src/generate/index.js';
import type { Transformer } from '../../src/index.js';
import { decoderOnly, device, makeModel } from './small-model.js';

const sizes = { ...decoderOnly, maxLength: 64 };

interface Answer {
  readonly tokens: readonly BatchedToken[];
  readonly finishReason: string;
  readonly cachedTokens: number;
}

async function answer(batching: ContinuousBatching, prompt: number[], options: BatchedOptions): Promise<Answer> {
  const stream = batching.stream(prompt, options);
  const tokens: BatchedToken[] = [];
  for (;;) {
    const { value, done } = await stream.next();
    if (done) return { tokens, ...value };
    tokens.push(value);
  }
}

/** Requests of all kinds, different for every seed. */
function requests(count: number, seed: number): { prompt: number[]; options: BatchedOptions }[] {
  const random = new Random(seed);
  const shared = Array.from({ length: 12 }, () => 3 + random.below(8));
  return Array.from({ length: count }, (_, i) => {
    const own = Array.from({ length: 1 + random.below(20) }, () => 3 + random.below(8));
    const prompt = random.below(2) ? [...shared.slice(0, random.below(12)), ...own] : own;
    const sampled = {
      doSample: true,
      seed: random.below(9),
      stream: random.below(3),
      temperature: 0.5 + random.uniform(),
    };
    const kinds: BatchedOptions[] = [
      {},
      sampled,
      { ...sampled, topP: 0.8 },
      { ...sampled, topK: 3, repetitionPenalty: 1.3 },
      { minNewTokens: 6, topLogProbabilities: 5 },
      { suppressTokens: [4, 5], noRepeatNgramSize: 2 },
    ];
    const options = { ...kinds[i % kinds.length], maxNewTokens: 6 + random.below(24), client: `${random.below(3)}` };
    return { prompt, options };
  });
}

async function alone(model: Transformer, { prompt, options }: ReturnType<typeof requests>[number]): Promise<Answer> {
  const batching = new ContinuousBatching(model, { parallel: 1 });
  const result = await answer(batching, prompt, options);
  await batching.dispose();
  return result;
}

const bitsOf = ({ tokens, finishReason }: Answer) => ({ tokens, finishReason });

describe('continuous batching', () => {
  it('gives the same bits if memory grows with the sequences, and frees most of it afterwards', async () => {
    const model = makeModel(sizes);
    const all = requests(24, 3);
    const expected: Answer[] = [];
    for (const each of all) expected.push(await alone(model, each));
    const { used } = device.memory();
    const batching = new ContinuousBatching(model, { parallel: 16, context: 65, chunk: 5, reserve: false });
    const initial = device.memory().used - used;
    const answers = await Promise.all(all.map(({ prompt, options }) => answer(batching, prompt, options)));
    expect(answers.map(bitsOf)).toEqual(expected.map(bitsOf));
    const { steps, generatedTokens } = batching.load;
    expect(generatedTokens).toBeGreaterThan(6 * steps); // most of the steps were for many sequences
    await batching.close();
    device.flushSync();
    expect(device.memory().used - used).toBeLessThan(2 * initial);
    await batching.dispose();
    expect(device.memory().used).toBe(used);
    model.dispose();
  });

  it('gives the same bits with guesses of the next tokens, in fewer steps', async () => {
    const model = makeModel(sizes);
    const all = requests(24, 5);
    const [guessing, plain] = (['always', 'never'] as const).map(
      (lookup) => new ContinuousBatching(model, { parallel: 4, context: 65, lookup }),
    ) as [ContinuousBatching, ContinuousBatching];
    for (const each of all)
      expect(await answer(guessing, each.prompt, each.options)).toEqual(await answer(plain, each.prompt, each.options));
    expect(guessing.load.generatedTokens).toBe(plain.load.generatedTokens);
    expect(guessing.load.steps).toBeLessThan(0.9 * plain.load.steps);
    for (const batching of [guessing, plain]) await batching.dispose();
    model.dispose();
  });

  it('guesses by earlier answers of the same scope only', async () => {
    const model = makeModel(sizes);
    const batching = new ContinuousBatching(model, { context: 65, lookup: 'always' });
    const options = { doSample: true, temperature: 3, seed: 1, maxNewTokens: 40, stopTokens: [] };
    const stepsOf = async (prefixScope: string) => {
      const { steps } = batching.load;
      await answer(batching, [3, 4, 5, 6], { ...options, prefixScope });
      return batching.load.steps - steps;
    };
    const first = await stepsOf('ann');
    expect(await stepsOf('ann')).toBeLessThan(0.5 * first);
    expect(await stepsOf('bob')).toBe(first);
    await batching.dispose();
    model.dispose();
  });

  it('keeps the text so far if a sequence ends among guesses', async () => {
    const model = makeModel(sizes);
    const batching = new ContinuousBatching(model, { context: 65, lookup: 'always' });
    const plain = new ContinuousBatching(model, { context: 65, lookup: 'never' });
    const options = { maxNewTokens: 30, stopTokens: [] };
    const { tokens } = await answer(plain, [3, 4, 5], options);
    const text = [3, 4, 5, ...tokens.map(({ token }) => token)];
    for (let stop = 1; stop < 30; stop++) {
      const caches = [new PromptCache(model), new PromptCache(model)] as const;
      const ends = { ...options, stop: (ids: readonly number[]) => ids.length === stop };
      for (const [i, each] of [batching, plain].entries())
        await answer(each, [3, 4, 5], { ...ends, cache: caches[i] as PromptCache });
      for (const cache of caches) expect(cache.tokens).toEqual(text.slice(0, 2 + stop));
      const next = { maxNewTokens: 5, stopTokens: [] };
      const longer = [...text.slice(0, 3 + stop), 7];
      expect(await answer(batching, longer, { ...next, cache: caches[0] })).toEqual(
        await answer(plain, longer, { ...next, cache: caches[1] }),
      );
      for (const cache of caches) cache.dispose();
    }
    for (const each of [batching, plain]) await each.dispose();
    model.dispose();
  });

  it.each([32, 63, 64])('keeps a prompt of %i tokens in a row while other rows step', async (length) => {
    const model = makeModel({ ...sizes, maxLength: 256 });
    const batching = new ContinuousBatching(model, { parallel: 4, context: 200, reserve: false });
    // Steps of three rows compute a fourth one, too.
    const running = [3, 4, 5].map((id) => batching.stream([id], { maxNewTokens: 60, minNewTokens: 60 }));
    for (const stream of running) await stream.next();
    const prompt = Array.from({ length }, (_, i) => 3 + (i % 7));
    const longer = { prompt: [...prompt, 5, 4], options: { maxNewTokens: 4, stopTokens: [] } };
    await answer(batching, prompt, { maxNewTokens: 1 });
    for (const stream of running) for (let step = 0; step < 5; step++) await stream.next();
    const result = await answer(batching, longer.prompt, longer.options);
    expect(result.cachedTokens).toBe(length);
    expect(bitsOf(result)).toEqual(bitsOf(await alone(model, longer)));
    for (const stream of running) await stream.return(undefined as never);
    await batching.dispose();
    model.dispose();
  });

  it('begins with the content of a cache, and stores its tokens there', async () => {
    const model = makeModel(sizes);
    const batching = new ContinuousBatching(model, { parallel: 4, context: 65, reserve: false });
    const prompt = [3, 4, 5, 6, 7, 8, 9, 10];
    const options = { maxNewTokens: 6, stopTokens: [] };
    const [cache, other] = [new PromptCache(model), new PromptCache(model)];
    const turn = async (to: number[], cache: PromptCache) => {
      const result = await answer(batching, to, { ...options, cache });
      return { ...result, tokens: result.tokens.map(({ token }) => token) };
    };
    const first = await turn(prompt, cache);
    expect(cache.tokens).toEqual([...prompt, ...first.tokens.slice(0, -1)]);
    expect(cache.readCount).toBe(prompt.length);
    const next = [...prompt, ...first.tokens, 3, 3];
    const [second, beside] = await Promise.all([turn(next, cache), turn(prompt.toReversed(), other)]);
    expect(second.cachedTokens).toBe(prompt.length + 5);
    const own = new PromptCache(model);
    for (const each of [prompt, next]) {
      const { sequences } = await model.generate([each], { ...options, cache: own });
      expect(sequences[0]).toEqual(each === prompt ? first.tokens : second.tokens);
    }
    expect((await model.generate([prompt.toReversed()], options)).sequences[0]).toEqual(beside.tokens);
    // A reader that leaves finds the cache free at once.
    const stream = batching.stream(prompt, { ...options, cache });
    await stream.next();
    await stream.return(undefined as never);
    expect(cache.isBusy).toBe(false);
    const running = turn(prompt, cache);
    expect(() => batching.stream(prompt, { ...options, cache })).toThrow('in use by another generation');
    cache.dispose();
    await expect(running).rejects.toThrow('disposed');
    await expect(turn(prompt, cache)).rejects.toThrow('disposed');
    await batching.dispose();
    model.dispose();
  });

  it('gives every request the bits that it gets alone, while others join, finish or are cancelled', async () => {
    const model = makeModel(sizes);
    const all = requests(40, 1);
    const expected: Answer[] = [];
    for (const each of all) expected.push(await alone(model, each));
    const batching = new ContinuousBatching(model, { parallel: 6, context: 64, chunk: 5 });
    const random = new Random(5);
    const answers = await Promise.all(
      all.map(async ({ prompt, options }, i) => {
        for (let wait = random.below(40); wait > 0; wait--)
          await new Promise<void>((resolve) => void afterEvents(resolve));
        if (i % 5 === 0) {
          const leaving = batching.stream(prompt.toReversed(), { ...options, maxNewTokens: 20, minNewTokens: 20 });
          await leaving.next();
          await leaving.return(undefined as never);
        }
        return answer(batching, prompt, options);
      }),
    );
    expect(answers.map(bitsOf)).toEqual(expected.map(bitsOf));
    expect(answers.some(({ cachedTokens }) => cachedTokens > 0)).toBe(true);
    await batching.dispose();
    model.dispose();
  });

  it('chooses the tokens of generate', async () => {
    const model = makeModel(sizes);
    const batching = new ContinuousBatching(model);
    for (const { prompt, options } of requests(12, 2)) {
      const { client: _, stream: __, topLogProbabilities: ___, ...same } = options;
      const { sequences, logProbabilities, finishReasons } = await model.generate([prompt], same);
      const { tokens, finishReason } = await answer(batching, prompt, { ...options, stream: 0 });
      expect(tokens.map(({ token }) => token)).toEqual(sequences[0]);
      const told = tokens.map(({ logProbability }) => logProbability);
      expect(told).toEqual(logProbabilities[0]!.slice(0, told.length));
      expect(finishReason).toBe(finishReasons[0]);
    }
    await batching.dispose();
    model.dispose();
  });

  it('reports the most probable tokens, of which greedy search chooses the first', async () => {
    const model = makeModel(sizes);
    const batching = new ContinuousBatching(model);
    const options = { maxNewTokens: 8, stopTokens: [], topLogProbabilities: 11 };
    const { tokens } = await answer(batching, [5, 6, 7], options);
    expect(tokens.length).toBe(8);
    for (const { token, logProbability, top } of tokens) {
      expect(top[0]).toEqual({ token, logProbability });
      expect(top.map((each) => each.logProbability)).toEqual(
        top.map((each) => each.logProbability).sort((a, b) => b - a),
      );
      expect(top.reduce((sum, each) => sum + Math.exp(each.logProbability), 0)).toBeCloseTo(1, 5);
    }
    await batching.dispose();
    model.dispose();
  });

  it('copies a common prefix of a prompt from a free row, a running one or its own', async () => {
    const model = makeModel(sizes);
    const batching = new ContinuousBatching(model, { parallel: 2 });
    const prompt = [5, 6, 7, 8, 9, 10, 4, 3];
    const first = await answer(batching, prompt, { maxNewTokens: 4 });
    const again = await answer(batching, prompt, { maxNewTokens: 4 });
    expect(again).toEqual({ ...first, cachedTokens: 7 });
    const [running, beside] = await Promise.all([
      answer(batching, prompt, { maxNewTokens: 30, minNewTokens: 30 }),
      answer(batching, [...prompt.slice(0, 5), 3, 3], { maxNewTokens: 4 }),
    ]);
    expect([running.cachedTokens, beside.cachedTokens]).toEqual([7, 5]);
    expect(running.tokens.length).toBe(30);
    await batching.dispose();
    model.dispose();
  });

  it('reads a common prefix of simultaneous prompts once', async () => {
    const model = makeModel(sizes);
    const batching = new ContinuousBatching(model, { parallel: 4, chunk: 8 });
    const prompt = Array.from({ length: 30 }, (_, i) => 3 + ((i * i) % 8));
    const options = { doSample: true, maxNewTokens: 5, minNewTokens: 5 };
    const streams = batching.streamAll([0, 1, 2, 3].map((stream) => ({ prompt, options: { ...options, stream } })));
    for await (const _ of streams[0]!);
    await batching.close();
    expect(batching.load).toMatchObject({ promptTokens: 30 + 3, cachedTokens: 3 * 29, generatedTokens: 20 });
    await batching.dispose();
    model.dispose();
  });

  it('serves clients in turn: one that sends many requests does not delay one that sends a single one', async () => {
    const model = makeModel(sizes);
    const batching = new ContinuousBatching(model, { parallel: 1 });
    const order: string[] = [];
    const ask = (client: string) =>
      answer(batching, [5, 6], { client, maxNewTokens: 2 }).then(() => void order.push(client));
    await Promise.all([...Array.from({ length: 6 }, () => ask('many')), ask('single'), ask('other')]);
    expect(order.indexOf('single')).toBeLessThan(3);
    expect(order.indexOf('other')).toBeLessThan(4);
    await batching.dispose();
    model.dispose();
  });

  it('refuses too many requests, and accepts them when there is room', async () => {
    const model = makeModel(sizes);
    const batching = new ContinuousBatching(model, { parallel: 1, maxWaiting: 1 });
    const running = [0, 1].map(() => answer(batching, [5, 6], { maxNewTokens: 20, minNewTokens: 20 }));
    expect(() => batching.stream([5], {})).toThrow(QueueFullError);
    await Promise.all(running);
    expect((await answer(batching, [5], { maxNewTokens: 1, minNewTokens: 1 })).tokens.length).toBe(1);
    await batching.dispose();
    model.dispose();
  });

  it('frees the row of a client that leaves, by a signal or from the loop, running or waiting', async () => {
    const model = makeModel(sizes);
    const batching = new ContinuousBatching(model, { parallel: 1, maxWaiting: 8 });
    const long = { maxNewTokens: 50, minNewTokens: 50 };
    const controller = new AbortController();
    const running = batching.stream([5], { ...long, signal: controller.signal });
    const waiting = batching.stream([6], { ...long, signal: controller.signal });
    expect((await running.next()).done).toBe(false);
    expect(batching.load).toMatchObject({ running: 1, waiting: 1 });
    controller.abort(new Error('gone'));
    expect(batching.load.waiting).toBe(0);
    const drain = async (stream: AsyncIterable<unknown>) => {
      for await (const _ of stream);
    };
    await expect(drain(running)).rejects.toThrow('gone');
    await expect(drain(waiting)).rejects.toThrow('gone');
    for await (const _ of batching.stream([7], long)) break;
    await batching.close();
    expect(batching.load).toMatchObject({ running: 0, waiting: 0 });
    expect(() => batching.stream([5])).toThrow('no requests any more');
    await batching.dispose();
    model.dispose();
  });

  it('frees all its memory, and ends running requests', async () => {
    const model = makeModel(sizes);
    const once = new ContinuousBatching(model, { parallel: 4 });
    await answer(once, [5], { maxNewTokens: 2 });
    await once.dispose();
    const { used } = device.memory();
    const batching = new ContinuousBatching(model, { parallel: 4 });
    const ends = [1, 2, 3].map((token) => answer(batching, [token], { maxNewTokens: 50, minNewTokens: 50 }));
    const outcomes = Promise.allSettled(ends);
    await new Promise((resolve) => setTimeout(resolve, 10));
    await batching.dispose();
    for (const each of await outcomes) if (each.status === 'rejected') expect(each.reason.message).toMatch(/disposed/);
    expect(device.memory().used).toBe(used);
    model.dispose();
  });

  it('fails only the request whose hook throws', async () => {
    const model = makeModel(sizes);
    const batching = new ContinuousBatching(model);
    const others = answer(batching, [5, 6], { maxNewTokens: 5, minNewTokens: 5 });
    const broken = () => {
      throw new Error('broken');
    };
    await expect(answer(batching, [5, 6], { logitsProcessors: [broken] })).rejects.toThrow('broken');
    expect((await others).tokens.length).toBe(5);
    await batching.dispose();
    model.dispose();
  });

  it('refuses invalid requests with clear errors', async () => {
    const model = makeModel(sizes);
    const batching = new ContinuousBatching(model, { context: 16 });
    const refused = (options: object, prompt = [5]) => expect(() => batching.stream(prompt, options));
    refused({ numBeams: 2 }).toThrow('there is no option numBeams');
    refused({ numBeamGroups: 2 }).toThrow('there is no option numBeamGroups');
    refused({ diversityPenalty: 1 }).toThrow('there is no option diversityPenalty');
    refused({ cacheType: 'int8' }).toThrow('there is no option cacheType');
    refused({ temprature: 2 }).toThrow('there is no option temprature');
    refused({ topLogProbabilities: 21 }).toThrow('expected an integer from 0 to 11');
    refused({}, Array(16).fill(5)).toThrow('more than the model');
    refused({ maxNewTokens: 16 }).toThrow('maxNewTokens is 16, expected at most 15');
    expect(() => new ContinuousBatching(model, { context: 66 })).toThrow("the model's maxLength + 1, 65");
    expect(() => new ContinuousBatching(makeModel())).toThrow('the model has an encoder');
    await batching.dispose();
    model.dispose();
  });
});
