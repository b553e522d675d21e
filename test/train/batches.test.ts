import { describe, expect, it } from 'vitest';
import { ArgumentError } from '../../src/core/errors.js';
import { type Example, lengthBatches, windowBatches } from '../../src/train/batches.js';
import { fit } from '../../src/train/fit.js';
import { deviceFor } from '../describe-op.js';
import { best } from '../models/small-models.js';
import { common, smallModel } from './task.js';

const examples: Example[] = Array.from({ length: 500 }, (_, i) => ({
  source: Array.from({ length: 1 + ((i * 7) % 13) }, () => i),
  target: [1, i, 2],
}));

describe('lengthBatches', () => {
  it('yields every example once per epoch, within the budget, with similar ones', () => {
    const batches = lengthBatches(examples, { tokens: 100, seed: 3 });
    for (const epoch of [0, 1]) {
      const seen = new Set<Example>();
      for (let n = 0; n < batches.perEpoch; n++) {
        const batch = batches.batch(epoch * batches.perEpoch + n);
        const lengths = batch.map(({ source, target }) => (source?.length ?? 0) + target.length);
        expect(lengths.reduce((a, b) => a + b)).toBeLessThanOrEqual(100);
        expect(Math.max(...lengths) - Math.min(...lengths)).toBeLessThanOrEqual(1);
        for (const example of batch) seen.add(example);
      }
      expect(seen.size).toBe(examples.length);
    }
  });

  it('depends only on the seed and the number', () => {
    const a = lengthBatches(examples, { tokens: 100, seed: 3 });
    const b = lengthBatches(examples, { tokens: 100, seed: 3 });
    const other = lengthBatches(examples, { tokens: 100, seed: 4 });
    for (let n = 0; n < 20; n++) a.batch(n);
    const far = a.perEpoch * 5 + 2;
    expect(a.batch(far)).toEqual(b.batch(far));
    expect(a.batch(far)).not.toEqual(other.batch(far));
    expect(a.batch(far)).not.toEqual(a.batch(2));
  });

  it('distinguishes other data, other batches and another order of examples', () => {
    const [first, ...rest] = examples;
    const last = { source: [1], target: [1, 499, 3] };
    const data = [examples, [...rest, first!], [...examples.slice(0, -1), last], rest];
    const fingerprints = data.map((each) => lengthBatches(each, { tokens: 100 }).fingerprint);
    expect(new Set([...fingerprints, lengthBatches(examples, { tokens: 101 }).fingerprint]).size).toBe(5);
    expect(lengthBatches(examples.slice(), { tokens: 100 }).fingerprint).toBe(fingerprints[0]);
    const windows = [
      [1, 2, 3, 4],
      [1, 2, 4, 3],
    ].map((ids) => windowBatches(ids, { blockSize: 2, batchSize: 1 }));
    expect(windows[0]!.fingerprint).not.toBe(windows[1]!.fingerprint);
  });

  it('refuses an empty corpus and examples that never fit', () => {
    expect(() => lengthBatches([])).toThrow(ArgumentError);
    expect(() => lengthBatches([{ target: [] }])).toThrow(ArgumentError);
    expect(() => lengthBatches(examples, { tokens: Number.NaN })).toThrow(/tokens is NaN, expected a positive integer/);
    expect(() => lengthBatches(examples, { tokens: 5 })).toThrow(/example \d+ has \d+ tokens/);
  });
});

describe('windowBatches', () => {
  it('cuts windows out of the text', () => {
    const text = Int32Array.from({ length: 100 }, (_, i) => i);
    const batches = windowBatches(text, { blockSize: 8, batchSize: 5, seed: 1 });
    const batch = batches.batch(7);
    expect(batch).toHaveLength(5);
    for (const { target } of batch) {
      expect(target).toHaveLength(9);
      expect(target.map((id) => id - (target[0] as number))).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
    }
    expect(batches.batch(7)).toEqual(batch);
    expect(() => windowBatches(text, { blockSize: 100, batchSize: 1 })).toThrow(ArgumentError);
    expect(() => windowBatches(text, { blockSize: 8, batchSize: 1e8 })).toThrow(
      /100000000 windows of 8 tokens are too many: a batch has/,
    );
  });
});

it('errors of batches that fit makes name fit', async () => {
  const device = await deviceFor(best, 1);
  const model = smallModel(device);
  const run = (data: unknown, more: object = {}) => fit(model, data as never, { ...common, steps: 1, ...more });
  await expect(run([])).rejects.toThrow(/^fit: there are no examples/);
  await expect(run([], { batchSize: 2, batchTokens: undefined })).rejects.toThrow(/^fit: there are no examples/);
  await expect(run([{ source: [1] }])).rejects.toThrow(/^fit: example 0 has no target/);
  const long = { source: [1, 2], target: [1, 2, 3] };
  await expect(run([long], { batchTokens: 4 })).rejects.toThrow(
    /^fit: example 0 has 5 tokens, a batch may have 1 to 4/,
  );
  const stream = async function* () {};
  await expect(run(stream)).rejects.toThrow(/^fit: there are no examples in epoch 0/);
});
