// Models whose rotary frequencies depend on the length of the prompt, with caches, forks, drafts, and in batches. Each
// gives the tokens and probabilities of transformers' `generate` for the whole prompt.
import { afterAll, describe, expect, it } from 'vitest';
import { ContinuousBatching, type GenerateOptions, PromptCache } from '../../src/generate/index.js';
import { createDevice } from '../../src/index.js';
import { assertClose, largest } from '../tolerance.js';
import { loadVariant, type Variant, variants, type Written } from './variant.js';

const names = ['Llama with dynamic rotation', 'Llama with longrope', 'Granite 4 H with dynamic rotation'];
const cases = names.map((name) => variants.find((each) => each.name.startsWith(name)) as Variant);
const LIMIT = 2e-4;

const device = await createDevice({ threads: 1 });
afterAll(() => device.dispose());

describe.each(cases)('$name', async (variant) => {
  const model = await loadVariant(device, variant);
  afterAll(() => model.dispose());
  const texts = variant.written as Written[];
  const inAnyOrder = [...texts, ...texts.toReversed(), ...texts.slice(1), ...texts];

  const check = async ({ prompt, ids, logProbabilities }: Written, options: GenerateOptions = {}) => {
    const given = await model.generate([prompt], { maxNewTokens: ids.length, stopTokens: [], ...options });
    expect(given.sequences).toEqual([ids]);
    assertClose(
      'log-probabilities',
      given.logProbabilities[0] as number[],
      logProbabilities,
      () => LIMIT * largest(logProbabilities),
    );
  };

  it.each([undefined, 'prompt'] as const)(
    'keeps only what rotates alike in a cache, with the drafts %s',
    async (draft) => {
      using cache = new PromptCache(model);
      for (const text of inAnyOrder) {
        await check(text, { cache, draft });
        using fork = cache.fork();
        for (const other of texts) await check(other, { cache: fork, draft });
        using shared = new PromptCache(model);
        shared.share(cache, text.prompt);
        await check(text, { cache: shared, draft });
      }
    },
  );

  it('goes on after generated tokens', async () => {
    for (const { prompt, ids } of texts) {
      using cache = new PromptCache(model);
      const options = { maxNewTokens: 3, stopTokens: [] };
      await model.generate([prompt], { ...options, cache });
      const longer = [[...prompt, ...ids.slice(0, 3)]];
      const [cached, fresh] = [
        await model.generate(longer, { ...options, cache }),
        await model.generate(longer, options),
      ];
      expect(cached.sequences).toEqual(fresh.sequences);
      assertClose(
        'log-probabilities',
        cached.logProbabilities[0] as number[],
        fresh.logProbabilities[0] as number[],
        () => 1e-5,
      );
    }
  });

  it('gives overlapping calls what each gets alone', async () => {
    await Promise.all(inAnyOrder.map((text) => check(text)));
  });

  it.each([4, 512])('reads prompts of a batch in chunks of %i tokens', async (chunk) => {
    const batching = new ContinuousBatching(model, { parallel: 3, chunk });
    for (const round of [inAnyOrder, texts])
      await Promise.all(
        round.map(async ({ prompt, ids, logProbabilities }) => {
          const options = { maxNewTokens: ids.length, stopTokens: [] };
          const tokens: number[] = [];
          const scores: number[] = [];
          for await (const { token, logProbability } of batching.stream(prompt, options)) {
            tokens.push(token);
            scores.push(logProbability);
          }
          expect(tokens).toEqual(ids);
          assertClose('log-probabilities', scores, logProbabilities, () => LIMIT * largest(logProbabilities));
        }),
      );
    await batching.dispose();
  });

  it('keeps tables for few lengths', async () => {
    const usedAfter = async (from: number, to: number) => {
      for (let length = from; length <= to; length++) {
        device.scope(() => void model.forward({ inputIds: [Array<number>(length).fill(3)] }));
        await device.flush();
      }
      return device.memory().used;
    };
    const before = await usedAfter(20, 31);
    await usedAfter(8, 19);
    expect(await usedAfter(20, 31)).toBe(before);
  });
});
