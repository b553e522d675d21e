// Models with recurrent states: what caches, rewinding, forks, drafts and shared batches give is what a fresh text gives.
import { afterAll, describe, expect, it } from 'vitest';
import { CommandError } from '../../src/index.js';
import {
  decoderOf,
  expectBeams,
  expectCaches,
  expectChunks,
  expectDrafts,
  expectSharedBatch,
  expectSteps,
  text,
} from './as-fresh.js';

describe.each(['lfm2', 'lfm2_moe', 'mamba2', 'falcon_h1', 'granitemoehybrid', 'qwen3_5'])('%s', async (name) => {
  const model = await decoderOf(name);
  afterAll(() => model.dispose());

  it('reads a text in chunks as in one pass, and token by token as in steps', () => {
    const ids = text(150);
    for (const cuts of [[1], [64], [7, 8, 100]]) expectChunks(model, ids, ...cuts);
    expectSteps(model, ids);
  });

  it('continues from checkpoints and the latest tokens, and refuses other lengths', () => {
    const ids = text(150);
    using fresh = model.startDecoding({ maxLength: 200 });
    const next = [...ids.slice(0, 64), 5, 6, 7];
    const expected = model.prefill(fresh, [next]).dataSync();
    using state = model.startDecoding({ sequences: 2, maxLength: 200 });
    model.extend(state, [ids], { logits: 'none' });
    expect(state.resumableLength(100)).toBe(64);
    state.copySequence(1, 0, 64);
    expect(model.extend(state, [[5, 6, 7]], { sequences: [1], starts: [64] }).dataSync()).toEqual(expected);
    expect(model.extend(state, [[5, 6, 7]], { starts: [64] }).dataSync()).toEqual(expected);
    expect(() => model.extend(state, [[5]], { starts: [40] }).dataSync()).toThrow(CommandError);
  });

  it('continues from a cache, its forks, and truncated ones', async () => {
    using fork = await expectCaches(model, text(140), 130, 12);
    fork.truncate(100);
    expect(fork.tokens).toHaveLength(64);
  });

  it('gives the same results with drafts', () => expectDrafts(model, [...text(20), ...text(20), ...text(12)], 30));

  it('generates in a shared batch as alone', async () => {
    const start = text(130, 3);
    const prompts = [text(9), text(70, 2), [...start, 3], [...start, 4, 5], text(33, 5), [...start, 6]];
    expect(await expectSharedBatch(model, prompts, 256, 12)).toBeGreaterThanOrEqual(128);
  });

  it('follows beams', () => expectBeams(model, [text(5), text(40, 2)], 12));
});
