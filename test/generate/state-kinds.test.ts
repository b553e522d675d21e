// Decoders whose layers keep windows, sinks, shared keys or linear biases. Caches, forks, drafts, beams and shared batches
// give the results of a fresh text. recurrent.test.ts has decoders with recurrent states.
import { afterAll, describe, expect, it } from 'vitest';
import { ContinuousBatching, PromptCache } from '../../src/generate/index.js';
import type { PretrainedModel } from '../../src/models/pretrained-model.js';
import { loadModel } from '../../src/pretrained/load-model.js';
import { deviceFor, isas } from '../describe-op.js';
import { filesOf } from '../pretrained/reference.js';
import { testData } from '../test-data.js';

const data = testData('reference3');
const text = (length: number, seed = 1) => Array.from({ length }, (_, i) => 3 + ((i * i * seed + 5 * i + seed) % 90));

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
  const files = await filesOf(data, name);
  const config = JSON.parse(new TextDecoder().decode(files['config.json'])) as Record<string, unknown>;
  const limit = ['n_positions', 'max_position_embeddings'].find((each) => each in config);
  if (limit !== undefined) files['config.json'] = new TextEncoder().encode(JSON.stringify({ ...config, [limit]: 512 }));
  const model = (await loadModel(await deviceFor(isas[0]!, 2), files)) as PretrainedModel;
  afterAll(() => model.dispose());
  const options = { maxNewTokens: 6, stopTokens: [] };
  const room = Math.min(120, model.maxLength - 40);
  const alone = async (prompt: readonly number[]) => (await model.generate([[...prompt]], options)).sequences[0];

  it('reads a text in pieces as in one pass', () => {
    const ids = text(room);
    using whole = model.startDecoding({ maxLength: room + 8 });
    const expected = model.prefill(whole, [ids]).dataSync();
    using state = model.startDecoding({ sequences: 2, maxLength: room + 8 });
    for (const [start, end] of [
      [0, 7],
      [7, 8],
      [8, room],
    ] as const) {
      const chunk = ids.slice(start, end);
      const logits = model.extend(state, [chunk], { sequences: [1], starts: [start] }).dataSync();
      if (end === room) expect(logits).toEqual(expected);
    }
  });

  it('continues from a cache, its forks, and truncated ones', async () => {
    using cache = new PromptCache(model);
    const prompt = text(room - 20);
    const first = (await model.generate([prompt], { ...options, cache })).sequences[0]!;
    expect(first).toEqual(await alone(prompt));
    const longer = [...prompt, ...first, 4, 9];
    using fork = cache.fork();
    expect((await model.generate([longer], { ...options, cache })).sequences[0]).toEqual(await alone(longer));
    const other = [...prompt.slice(0, room - 40), 8, 8];
    expect((await model.generate([other], { ...options, cache: fork })).sequences[0]).toEqual(await alone(other));
    fork.truncate(10);
    const short = [...prompt.slice(0, 12), 5];
    expect((await model.generate([short], { ...options, cache: fork })).sequences[0]).toEqual(await alone(short));
  });

  it('gives the same results with drafts, in shared batches, and for beams of several prompts', async () => {
    const repeated = [...text(20), ...text(20), ...text(12)].slice(0, room - 10);
    const drafted = await model.generate([repeated], { ...options, maxNewTokens: 12, draft: 'prompt' });
    expect(drafted.sequences).toEqual((await model.generate([repeated], { ...options, maxNewTokens: 12 })).sequences);
    const batching = new ContinuousBatching(model, { parallel: 3, context: room + 10, chunk: 16 });
    const start = text(room - 20, 3);
    const prompts = [text(9), [...start, 3], [...start, 4, 5], text(33, 5), [...start, 6]];
    const results = await Promise.all(
      prompts.map(async (prompt) => {
        const tokens: number[] = [];
        for await (const { token } of batching.stream(prompt, options)) tokens.push(token);
        return tokens;
      }),
    );
    for (const [i, prompt] of prompts.entries()) expect(results[i], `prompt ${i}`).toEqual(await alone(prompt));
    await batching.dispose();
    const beams = { ...options, numBeams: 3 };
    const pair = [text(5), text(30, 2)];
    const together = await model.generate(pair, beams);
    for (const [i, prompt] of pair.entries())
      expect((await model.generate([prompt], beams)).sequences[0]).toEqual(together.sequences[i]);
  });
});
