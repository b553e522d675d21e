// Models with recurrent states: what caches, rewinding, forks, drafts and shared batches give is what a fresh text gives.
import { afterAll, describe, expect, it } from 'vitest';
import { ContinuousBatching, PromptCache } from '../../src/generate/index.js';
import { CommandError } from '../../src/index.js';
import type { PretrainedModel } from '../../src/models/pretrained-model.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { filesOf } from '../pretrained/reference.js';
import { testData } from '../test-data.js';

const data = testData('reference3');
const text = (length: number, seed = 1) => Array.from({ length }, (_, i) => 3 + ((i * i * seed + 5 * i + seed) % 90));

describe.each(['lfm2', 'lfm2_moe', 'mamba2', 'falcon_h1', 'granitemoehybrid', 'qwen3_5'])('%s', async (name) => {
  const files = await filesOf(data, name);
  // Room for several checkpoints.
  const config = JSON.parse(new TextDecoder().decode(files['config.json'])) as object;
  files['config.json'] = new TextEncoder().encode(JSON.stringify({ ...config, max_position_embeddings: 512 }));
  const model = (await loadModel(await deviceFor(isas[0]!, 2), files)) as PretrainedModel;
  afterAll(() => model.dispose());
  const options = { maxNewTokens: 12, stopTokens: [] };
  const alone = async (prompt: readonly number[]) => (await model.generate([[...prompt]], options)).sequences[0];

  it('reads a text in chunks as in one pass, and token by token as in steps', () => {
    const ids = text(150);
    using whole = model.startDecoding({ maxLength: 200 });
    const expected = model.prefill(whole, [ids]).dataSync();
    for (const cuts of [[1], [64], [7, 8, 100]]) {
      using state = model.startDecoding({ sequences: 2, maxLength: 200 });
      const bounds = [0, ...cuts];
      for (const [i, start] of bounds.entries()) {
        const chunk = ids.slice(start, bounds[i + 1]);
        const logits = model.extend(state, [chunk], { sequences: [1], starts: [start] }).dataSync();
        if (i === cuts.length) expect(logits).toEqual(expected);
      }
    }
    using state = model.startDecoding({ maxLength: 200 });
    model.extend(state, [ids.slice(0, 60)], { logits: 'none' });
    const every = model.extend(state, [ids.slice(60, 75)], { starts: [60], logits: 'every' }).dataSync();
    using stepped = model.startDecoding({ maxLength: 200 });
    model.extend(stepped, [ids.slice(0, 60)], { logits: 'none' });
    const steps = ids.slice(60, 75).flatMap((id) => {
      stepped.tokens.write([id]);
      return [...model.step(stepped).dataSync()];
    });
    expect([...every]).toEqual(steps);
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
    using cache = new PromptCache(model);
    const prompt = text(140);
    const first = (await model.generate([prompt], { ...options, cache })).sequences[0]!;
    expect(first).toEqual(await alone(prompt));
    const longer = [...prompt, ...first, 4, 9];
    using fork = cache.fork();
    expect((await model.generate([longer], { ...options, cache })).sequences[0]).toEqual(await alone(longer));
    const other = [...prompt.slice(0, 130), 8, 8];
    expect((await model.generate([other], { ...options, cache: fork })).sequences[0]).toEqual(await alone(other));
    fork.truncate(100);
    expect(fork.tokens).toHaveLength(64);
  });

  it('gives the same results with drafts', async () => {
    const prompt = [...text(20), ...text(20), ...text(12)];
    const drafted = await model.generate([prompt], { ...options, maxNewTokens: 30, draft: 'prompt' });
    expect(drafted.sequences).toEqual((await model.generate([prompt], { ...options, maxNewTokens: 30 })).sequences);
  });

  it('generates in a shared batch as alone', async () => {
    const batching = new ContinuousBatching(model, { parallel: 3, context: 256, chunk: 16 });
    const start = text(130, 3);
    const prompts = [text(9), text(70, 2), [...start, 3], [...start, 4, 5], text(33, 5), [...start, 6]];
    const results = await Promise.all(
      prompts.map(async (prompt) => {
        const tokens: number[] = [];
        const stream = batching.stream(prompt, options);
        for await (const { token } of stream) tokens.push(token);
        return tokens;
      }),
    );
    for (const [i, prompt] of prompts.entries()) expect(results[i], `prompt ${i}`).toEqual(await alone(prompt));
    expect(batching.load.cachedTokens).toBeGreaterThanOrEqual(128);
    await batching.dispose();
  });

  it('follows beams', async () => {
    const beams = { ...options, numBeams: 3 };
    const prompts = [text(5), text(40, 2)];
    const together = await model.generate(prompts, beams);
    for (const [i, prompt] of prompts.entries())
      expect((await model.generate([prompt], beams)).sequences[0]).toEqual(together.sequences[i]);
  });
});
