// Decoders whose layers keep windows, sinks, shared keys or linear biases. Caches, forks, drafts, beams and shared batches
// give the results of a fresh text. recurrent.test.ts has decoders with recurrent states.
import { afterAll, describe, it } from 'vitest';
import {
  decoderOf,
  expectBeams,
  expectCached,
  expectCaches,
  expectChunks,
  expectDrafts,
  expectSharedBatch,
  text,
} from './as-fresh.js';

const families = [
  'gemma3n',
  'gemma4',
  'gemma4_moe',
  'gpt_oss',
  'olmo3',
  'exaone4',
  'cohere2',
  'smollm3',
  'ministral3',
  'bloom',
  'falcon',
  'falcon_alibi',
  'gptj',
  'hunyuan_v1_dense',
  'modernbert_decoder',
  'starcoder2',
  'olmoe',
];

describe.each(families)('%s', async (name) => {
  const model = await decoderOf(name);
  afterAll(() => model.dispose());
  const room = Math.min(120, model.maxLength - 40);

  it('reads a text in pieces as in one pass', () => expectChunks(model, text(room), 7, 8));

  it('continues from a cache, its forks, and truncated ones', async () => {
    const prompt = text(room - 20);
    using fork = await expectCaches(model, prompt, room - 40, 6);
    fork.truncate(10);
    await expectCached(model, [...prompt.slice(0, 12), 5], fork, 6);
  });

  it('gives the same results with drafts, in shared batches, and for beams of several prompts', async () => {
    await expectDrafts(model, [...text(20), ...text(20), ...text(12)].slice(0, room - 10), 12);
    const start = text(room - 20, 3);
    const prompts = [text(9), [...start, 3], [...start, 4, 5], text(33, 5), [...start, 6]];
    await expectSharedBatch(model, prompts, room + 10, 6);
    await expectBeams(model, [text(5), text(30, 2)], 6);
  });
});
