// Checks that a decoder gives the results of a fresh text: for chunks, from caches, with drafts, beside others and by
// beams.
import { expect } from 'vitest';
import { ContinuousBatching, PromptCache } from '../../src/generate/index.js';
import type { PretrainedModel } from '../../src/models/pretrained-model.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { filesOf } from '../pretrained/reference.js';
import { testData } from '../test-data.js';

const stopTokens: readonly number[] = [];

export const text = (length: number, seed = 1) =>
  Array.from({ length }, (_, i) => 3 + ((i * i * seed + 5 * i + seed) % 90));

/** A decoder of test/data/families, with positions for long texts. */
export async function decoderOf(name: string): Promise<PretrainedModel> {
  const files = await filesOf(testData('families'), name);
  const config = JSON.parse(new TextDecoder().decode(files['config.json'])) as Record<string, unknown>;
  const limit = ['n_positions', 'max_position_embeddings'].find((each) => each in config);
  if (limit !== undefined) files['config.json'] = new TextEncoder().encode(JSON.stringify({ ...config, [limit]: 512 }));
  return (await loadModel(await deviceFor(isas[0]!, 2), files)) as PretrainedModel;
}

async function freshly(model: PretrainedModel, prompt: readonly number[], maxNewTokens: number) {
  return (await model.generate([prompt], { maxNewTokens, stopTokens })).sequences[0]!;
}

/** Reads a text that is cut at these places. */
export function expectChunks(model: PretrainedModel, ids: readonly number[], ...cuts: readonly number[]): void {
  const maxLength = ids.length + 8;
  using whole = model.startDecoding({ maxLength });
  const expected = model.prefill(whole, [ids]).dataSync();
  using state = model.startDecoding({ sequences: 2, maxLength });
  for (const [i, start] of [0, ...cuts].entries()) {
    const chunk = ids.slice(start, cuts[i]);
    const logits = model.extend(state, [chunk], { sequences: [1], starts: [start] }).dataSync();
    if (i === cuts.length) expect(logits).toEqual(expected);
  }
}

/** Reads tokens 60 to 74 at once, with the logits of each, and by steps. */
export function expectSteps(model: PretrainedModel, ids: readonly number[]): void {
  using state = model.startDecoding({ maxLength: ids.length });
  model.extend(state, [ids.slice(0, 60)], { logits: 'none' });
  const every = model.extend(state, [ids.slice(60, 75)], { starts: [60], logits: 'every' }).dataSync();
  using stepped = model.startDecoding({ maxLength: ids.length });
  model.extend(stepped, [ids.slice(0, 60)], { logits: 'none' });
  const steps = ids.slice(60, 75).flatMap((id) => {
    stepped.tokens.write([id]);
    return [...model.step(stepped).dataSync()];
  });
  expect([...every]).toEqual(steps);
}

/** Continues from a cache, and another text from the fork that it returns: the first `shared` tokens are the prompt's. */
export async function expectCaches(model: PretrainedModel, prompt: readonly number[], shared: number, count: number) {
  using cache = new PromptCache(model);
  const first = await expectCached(model, prompt, cache, count);
  const fork = cache.fork();
  await expectCached(model, [...prompt, ...first, 4, 9], cache, count);
  await expectCached(model, [...prompt.slice(0, shared), 8, 8], fork, count);
  return fork;
}

export async function expectCached(model: PretrainedModel, ids: readonly number[], cache: PromptCache, count: number) {
  const found = (await model.generate([ids], { maxNewTokens: count, stopTokens, cache })).sequences[0]!;
  expect(found).toEqual(await freshly(model, ids, count));
  return found;
}

export async function expectDrafts(model: PretrainedModel, prompt: readonly number[], count: number): Promise<void> {
  const drafted = await model.generate([prompt], { maxNewTokens: count, stopTokens, draft: 'prompt' });
  expect(drafted.sequences[0]).toEqual(await freshly(model, prompt, count));
}

/** Returns the number of tokens that came from caches. */
export async function expectSharedBatch(
  model: PretrainedModel,
  prompts: readonly (readonly number[])[],
  context: number,
  maxNewTokens: number,
): Promise<number> {
  const batching = new ContinuousBatching(model, { parallel: 3, context, chunk: 16 });
  const results = await Promise.all(
    prompts.map(async (prompt) => {
      const tokens: number[] = [];
      for await (const { token } of batching.stream(prompt, { maxNewTokens, stopTokens })) tokens.push(token);
      return tokens;
    }),
  );
  for (const [i, prompt] of prompts.entries())
    expect(results[i], `prompt ${i}`).toEqual(await freshly(model, prompt, maxNewTokens));
  const { cachedTokens } = batching.load;
  await batching.dispose();
  return cachedTokens;
}

export async function expectBeams(
  model: PretrainedModel,
  prompts: readonly (readonly number[])[],
  maxNewTokens: number,
): Promise<void> {
  const beams = { maxNewTokens, stopTokens, numBeams: 3 };
  const { sequences } = await model.generate(prompts, beams);
  for (const [i, prompt] of prompts.entries())
    expect((await model.generate([prompt], beams)).sequences[0]).toEqual(sequences[i]);
}
