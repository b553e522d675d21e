// Scores of pairs: cross-encoders, and decoders that answer yes or no.
import { describe, expect, it } from 'vitest';
import { pipeline } from '../../src/tasks/index.js';
import { difference, expectedOf, load, TOLERANCE } from './folders.js';

const encoders = ['default', 'identity', 'sigmoid', 'nli'].map((name) => `cross-encoder-${name}`);
const decoders = ['cross-encoder-logit-score', 'cross-encoder-logit-yes'];

describe('scores of pairs', () => {
  it.each([...encoders, ...decoders])('%s', async (name) => {
    const expected = expectedOf(name);
    const model = await load(name);
    const scores = await model.predict(expected.pairs);
    expect(difference(scores, expected.predict)).toBeLessThan(TOLERANCE);
    const logits = await model.predict(expected.pairs, { activation: 'identity' });
    expect(difference(logits, expected.logits)).toBeLessThan(TOLERANCE);
    expect(await model.predict(expected.pairs[0])).toEqual((scores as number[])[0]);
    if (expected.predict_softmax) {
      const shares = await model.predict(expected.pairs, { activation: 'softmax' });
      expect(difference(shares, expected.predict_softmax)).toBeLessThan(TOLERANCE);
      await expect(model.rank('a', ['b'])).rejects.toThrow(/3 scores for a pair, expected 1: call predict/);
    }
    const numbers = (hits: readonly { corpus_id: number; score: number }[]) =>
      hits.map(({ corpus_id, score }) => [corpus_id, score]);
    const ranks = await pipeline('text-ranking', model);
    for (const { query, documents, hits } of expected.rank ?? []) {
      expect(difference(numbers(await model.rank(query, documents)), numbers(hits))).toBeLessThan(TOLERANCE);
      expect(await ranks(query, documents, { top_k: 2, return_documents: true })).toEqual(
        (await model.rank(query, documents)).slice(0, 2).map((hit) => ({ ...hit, text: documents[hit.corpus_id] })),
      );
    }
    model.dispose();
  });

  it("Qwen3-Reranker's folder has no modules: its prompt is known", async () => {
    const { pairs } = expectedOf('qwen3-reranker') as {
      pairs: { query: string; document: string; p_yes: number; logit_yes: number }[];
    };
    const model = await load('qwen3-reranker');
    const texts = pairs.map(({ query, document }) => [query, document] as const);
    const scores = await model.predict(texts);
    expect(
      difference(
        scores,
        pairs.map(({ p_yes }) => p_yes),
      ),
    ).toBeLessThan(TOLERANCE);
    // Same prompt as a template of the caller, scored by one logit.
    const { prefix, suffix, format, instruction } = expectedOf('qwen3-reranker');
    const template = { parts: [prefix, format, suffix], instruction, yes: 'yes', isProbability: false };
    expect(
      difference(
        await model.predict(texts, { template }),
        pairs.map(({ logit_yes }) => logit_yes),
      ),
    ).toBeLessThan(TOLERANCE);
    model.dispose();
  });

  it('refuses inputs that are not pairs, and models that cannot score them', async () => {
    const model = await load('cross-encoder-default');
    await expect(model.predict([['a', 'b'], ['c']] as never)).rejects.toThrow(/pair 1 .*expected two texts/);
    await expect(
      model.predict(['a', 'b'], { template: { parts: ['{query} {document}'], yes: 'yes' } }),
    ).rejects.toThrow(/has a classifier/);
    await expect(model.predict(['a', 'b'], { activation: 'gelu' as never })).rejects.toThrow(/activation is/);
    expect(await model.rank('a', [])).toEqual([]);
    model.dispose();
    const bare = await load('pooling-cls');
    await expect(bare.predict(['a', 'b'])).rejects.toThrow(/head 'none', expected 'sequence-classification'/);
    await expect(pipeline('text-ranking', bare)).rejects.toThrow(/text-ranking needs a model with head/);
    bare.dispose();
  });
});
