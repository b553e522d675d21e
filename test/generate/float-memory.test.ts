import { expect, it, vi } from 'vitest';
import { ContinuousBatching, generate } from '../../src/generate/index.js';
import { Tensor } from '../../src/index.js';
import { decoderOnly, makeModel } from './small-model.js';

/** Collects the memory into which the logits of steps are read. It stays referenced, so no garbage collection frees it. */
async function memoryOfLogits(run: () => Promise<unknown>): Promise<ArrayBufferLike[]> {
  const dataOf = vi.spyOn(Tensor, 'dataOf');
  try {
    await run();
    const reads = await Promise.all(dataOf.mock.results.map(({ value }) => value as Promise<Float32Array[]>));
    return reads.flatMap(([, , , logits]) => (logits ? [logits.buffer] : []));
  } finally {
    dataOf.mockRestore();
  }
}

const sampled = { maxNewTokens: 12, stopTokens: [], doSample: true, temperature: 0.7, topK: 5, seed: 3 };

it.each([
  ['a sample', { numReturnSequences: 2 }],
  ['beams', { numBeams: 2 }],
  ['one sequence', {}],
])('reads the logits of all steps into the same memory: %s', async (_, options) => {
  const model = makeModel(decoderOnly);
  const memory = await memoryOfLogits(() => generate(model, [[3, 4, 5]], { ...sampled, ...options } as object));
  expect(memory.length).toBeGreaterThanOrEqual(10);
  expect(new Set(memory).size).toBeLessThanOrEqual(3); // the prompt and its steps may have different rankers
  model.dispose();
});

it('reads the logits of a shared batch into the same memory, and gives each sequence the tokens that it gets alone', async () => {
  const model = makeModel(decoderOnly);
  const tokensOf = async (batching: ContinuousBatching, seed: number) => {
    const tokens: number[] = [];
    for await (const { token } of batching.stream([3, seed], { ...sampled, seed })) tokens.push(token);
    return tokens;
  };
  const batching = new ContinuousBatching(model, { parallel: 4, context: 20 });
  const seeds = [1, 2, 3, 4];
  let together: number[][] = [];
  const memory = await memoryOfLogits(async () => {
    together = await Promise.all(seeds.map((seed) => tokensOf(batching, seed)));
  });
  expect(memory.length).toBeGreaterThanOrEqual(10);
  expect(new Set(memory).size).toBeLessThanOrEqual(3);
  for (const [i, seed] of seeds.entries()) expect(await tokensOf(batching, seed)).toEqual(together[i]);
  await batching.dispose();
  model.dispose();
});

it('gives processors of the caller memory that they may keep', async () => {
  const model = makeModel(decoderOnly);
  const kept: Float32Array[] = [];
  const copies: Float32Array[] = [];
  const keep = (scores: Float32Array) => {
    kept.push(scores);
    copies.push(scores.slice());
  };
  await generate(model, [[3, 4, 5]], { maxNewTokens: 4, stopTokens: [], doSample: false, logitsProcessors: [keep] });
  expect(kept.map((scores) => [...scores])).toEqual(copies.map((scores) => [...scores]));
  model.dispose();
});
