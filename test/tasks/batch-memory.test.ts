import { afterAll, expect, it, vi } from 'vitest';
import { createDevice, Transformer } from '../../src/index.js';
import { EncoderModel } from '../../src/models/encoder-model.js';
import { MAX_BATCH_TOKENS, tokenBatches } from '../../src/models/token-batches.js';
import { type PackedTokens, TokenBatch } from '../../src/nn/index.js';
import { pipeline } from '../../src/tasks/index.js';
import { smallModel } from './small-model.js';

const device = await createDevice({ threads: 2 });
afterAll(() => device.dispose());

it('makes batches by tokens, with a long row alone', () => {
  const lengths = [1500, 500, 49, 2000, 5000, 1, 2, 3];
  const batches = tokenBatches(lengths, (length) => length);
  expect(batches).toEqual([[1500, 500], [49], [2000], [5000], [1, 2, 3]]);
  expect(tokenBatches([], Number)).toEqual([]);
});

it('reads at most the tokens of a batch at once, with the results of single texts', async () => {
  await using extract = await pipeline('feature-extraction', smallModel('bert-pooler'), { device });
  await using classify = await pipeline('text-classification', smallModel('bert-sequence'), { device });
  const words = ['the cat sat on the mat', 'a dog', 'it is so good that we go there every day, is it not?'];
  const texts = Array.from({ length: 400 }, (_, i) => `${words[i % 3]} ${words[(i + 1) % 3]} ${words[i % 2]}`);
  const passes = (['forwardInParts', 'featuresInParts'] as const).map((name) => vi.spyOn(EncoderModel.prototype, name));
  const vectors = await extract(texts, { pooling: 'mean', batchSize: 400 });
  const classes = await classify(texts, { batchSize: 400 });
  const calls = passes.flatMap(({ mock }) => mock.calls);
  const counts = calls.map(([{ inputIds }]) =>
    inputIds instanceof TokenBatch ? inputIds.ids.size : [...((inputIds as PackedTokens).ids as number[])].length,
  );
  expect(Math.max(...counts)).toBeLessThanOrEqual(MAX_BATCH_TOKENS);
  expect(counts.length).toBeGreaterThan(4);
  for (const pass of passes) pass.mockRestore();
  for (const i of [0, 1, 2]) {
    const [alone, alike] = [await extract(texts[i]!, { pooling: 'mean' }), texts.lastIndexOf(texts[i]!)];
    const size = alone.data.length;
    for (const at of [i, alike]) expect(vectors.data.slice(at * size, (at + 1) * size)).toEqual(alone.data);
    expect(classes[i]).toEqual((await classify(texts[i]!))[0]);
  }
});

it('needs the memory of one sub-layer for inference, whatever the number of layers', () => {
  const memoryOf = (encoderLayers: number) => {
    const sizes = { dModel: 32, heads: 2, dFF: 128, decoderLayers: 0, sourceVocab: 20, targetVocab: 20 };
    using model = new Transformer(device, { ...sizes, encoderLayers, maxLength: 64 }).eval();
    const rows = Array.from({ length: 32 }, () => Array<number>(64).fill(3));
    const { used } = device.memory();
    device.resetPeak();
    device.noGrad(() => device.scope(() => void model.forward(rows)));
    return device.memory().peak - used;
  };
  expect(memoryOf(12)).toBeLessThan(1.05 * memoryOf(3));
  // Attention holds x, queries, keys, values, the sum of values and its projection; a network holds x, 4 dModel, and y.
  const bytesOfRows = 32 * 64 * 32 * 4;
  expect(memoryOf(3)).toBeLessThan(10 * bytesOfRows);
});
