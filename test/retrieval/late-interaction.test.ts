// Vectors of tokens: ColBERT of Stanford, of PyLate, and of sentence-transformers 6.
import { describe, expect, it } from 'vitest';
import { difference, expectedOf, load, TOLERANCE } from './folders.js';

describe('vectors of tokens', () => {
  it.each(['colbert-st6', 'colbert-pylate', 'colbert-stanford'])('%s', async (name) => {
    const expected = expectedOf(name);
    const model = await load(name);
    const queries = await model.encodeTokens(expected.queries as string[], { task: 'query' });
    const documents = await model.encodeTokens(expected.documents as string[], { task: 'document' });
    expect(difference(queries, expected.encode_query)).toBeLessThan(TOLERANCE);
    expect(difference(documents, expected.encode_document)).toBeLessThan(TOLERANCE);
    expect(difference(model.similarity(queries, documents), expected.similarity)).toBeLessThan(TOLERANCE);
    expect(model.maxSim(queries[0]!, documents[1]!)).toBeCloseTo(expected.similarity[0][1], 4);
    expect(await model.encodeTokens(expected.queries[1] as string, { task: 'query' })).toEqual(queries[1]);
    await expect(model.encode('a')).rejects.toThrow(/vectors of tokens: call encodeTokens/);
    model.dispose();
  });

  it('other models return the plain vectors of their tokens', async () => {
    const model = await load('pooling-cls');
    const tokens = await model.encodeTokens('the river');
    expect(Array.from(tokens[0]!)).toEqual(Array.from(await model.encode('the river')));
    model.dispose();
  });
});
