// all-MiniLM-L6-v2 through pipelines, as sentence-transformers runs it.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseSafetensors } from '../../src/io/safetensors.js';
import { type Pipeline, pipeline } from '../../src/tasks/index.js';
import { describeReal } from '../real-models.js';
import { testData } from '../test-data.js';
import { spearman } from './spearman.js';

/** The largest difference. */
const apart = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - (b[i] as number))), 0);

describeReal('all-MiniLM-L6-v2', async (path) => {
  let extract: Pipeline<'feature-extraction'>;
  beforeAll(async () => {
    extract = await pipeline('feature-extraction', path);
  });
  afterAll(() => extract.dispose());

  describe('beside sentence-transformers', async () => {
    const truth = testData('checkpoints/real');
    const { sentences, ids } = await truth.json<{ sentences: string[]; ids: number[][] }>('all-MiniLM-L6-v2.json');

    it('has the ids', () => {
      const maxLength = 256;
      expect(extract.tokenizer?.encodeBatch(sentences, { maxLength }).inputIds).toEqual(ids);
    });

    it('has the embeddings, in batches of any size', async () => {
      const { tensors } = parseSafetensors(await truth.bytes('all-MiniLM-L6-v2.safetensors'));
      const expected = tensors.get('embeddings')!.data() as Float32Array;
      const own = await extract(sentences, { pooling: 'model' });
      expect(own.dims).toEqual([12, 384]);
      expect(apart(own.data, expected)).toBeLessThan(1e-5);
      // The model alone reads up to 512 tokens of a long text, more than sentence-transformers allows.
      const short = [...sentences.keys()].filter((i) => ids[i]!.length < 256);
      const mean = await extract(
        short.map((i) => sentences[i]!),
        { pooling: 'mean', normalize: true, batchSize: 1 },
      );
      for (const [place, i] of short.entries())
        expect(apart(mean.at(place).data, expected.subarray(384 * i))).toBeLessThan(1e-5);
    });
  });

  describe('judges how similar sentences are', () => {
    const folder = '.cache/corpora/sts2015';
    const isHere = existsSync(folder);
    const title = isHere ? 'as people do' : 'not tested, STS 2015 is missing (node scripts/corpora.mjs sts2015)';
    it.runIf(isHere)(title, { timeout: 300_000 }, async () => {
      const lines = readdirSync(folder).flatMap((name) => readFileSync(join(folder, name), 'utf8').split('\n'));
      const pairs = lines.map((line) => line.split('\t')).filter(([score]) => score);
      expect(pairs).toHaveLength(3000);
      const sentences = [...new Set(pairs.flatMap((pair) => pair.slice(1)))];
      const places = new Map(sentences.map((sentence, i) => [sentence, i]));
      const vectors = await extract(sentences, { pooling: 'mean', normalize: true });
      const vector = (sentence: string | undefined) => vectors.at(places.get(sentence!)!).data;
      const cosines = pairs.map(([, a, b]) => {
        const [x, y] = [vector(a), vector(b)];
        return x.reduce((sum, value, i) => sum + value * y[i]!, 0);
      });
      const scores = pairs.map(([score]) => Number(score));
      expect(spearman(cosines, scores)).toBeCloseTo(0.8539, 4);
    });
  });
});
