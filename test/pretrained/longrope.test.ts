// Phi-3 whose texts turn otherwise once they are longer than 8 tokens: batches on both sides of that, and the prompt cache.
import { readFileSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { PromptCache } from '../../src/generate/index.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';

interface Written {
  readonly prompts: number[][];
  readonly written: number[][];
  readonly logProbabilities: number[][];
}

const all = JSON.parse(readFileSync(new URL('longrope.json', import.meta.url)).toString()) as Written[];
const folder = new URL('../data/families/phi3-outgrown/', import.meta.url);
const files = Object.fromEntries(
  ['config.json', 'model.safetensors'].map((name) => [name, readFileSync(new URL(name, folder))]),
);
const options = { maxNewTokens: 6, stopTokens: [] };

describe('longrope', async () => {
  const model = await loadModel(await deviceFor(isas[0] as string, 2), files);
  afterAll(() => model.dispose());
  const close = (given: readonly number[], expected: readonly number[]) => {
    for (const [i, value] of expected.entries()) expect(Math.abs((given[i] as number) - value)).toBeLessThan(1e-4);
  };

  it.each(all)('generates from $prompts the tokens of transformers', async ({ prompts, written, logProbabilities }) => {
    const given = await model.generate(prompts, options);
    expect(given.sequences).toEqual(written);
    for (const [i, expected] of logProbabilities.entries()) close(given.logProbabilities[i] as number[], expected);
  });

  it('generates the same with any prompt cache, and with drafts', async () => {
    const single = all.filter(({ prompts }) => prompts.length === 1);
    using cache = new PromptCache(model);
    for (const at of [0, 1, 2, 0, 2, 1, 0, 0]) {
      const { prompts, written, logProbabilities } = single[at] as Written;
      const given = await model.generate(prompts, { ...options, cache });
      expect(given.sequences).toEqual(written);
      close(given.logProbabilities[0] as number[], logProbabilities[0] as number[]);
      const drafted = await model.generate(prompts, { ...options, cache, draft: 'prompt' });
      expect(drafted.sequences).toEqual(written);
      // Reading continues after the generated tokens, beyond the length.
      const longer = [[...(prompts[0] as number[]), ...(written[0] as number[]).slice(0, 3)]];
      const on = await model.generate(longer, { maxNewTokens: 3, stopTokens: [], cache });
      expect(on.sequences).toEqual([(written[0] as number[]).slice(3)]);
    }
    using fork = cache.fork();
    const { prompts, written } = single[2] as Written;
    expect((await model.generate(prompts, { ...options, cache: fork })).sequences).toEqual(written);
  });
});
