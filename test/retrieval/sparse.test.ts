// Sparse vectors: SPLADE, its router without inference, sparse autoencoders, and BGE-M3's weights of words.
import { describe, expect, it } from 'vitest';
import type { SparseVector } from '../../src/models/retrieval/similarity.js';
import { difference, expectedOf, load, TOLERANCE } from './folders.js';

const entriesOf = (vectors: readonly SparseVector[]) =>
  vectors.map(({ indices, values }) => Array.from(indices, (index, i) => [index, values[i] as number]));

describe('sparse vectors', () => {
  it.each(['splade', 'splade-sum', 'splade-inference-free', 'csr'])('%s', async (name) => {
    const expected = expectedOf(name);
    const model = await load(name);
    const queries = await model.encodeQuerySparse(expected.queries as string[]);
    const documents = await model.encodeDocumentSparse(expected.documents as string[]);
    expect(difference(entriesOf(queries), expected.encode_query_sparse)).toBeLessThan(TOLERANCE);
    expect(difference(entriesOf(documents), expected.encode_document_sparse)).toBeLessThan(TOLERANCE);
    expect(difference(model.similarity(queries, documents), expected.similarity)).toBeLessThan(TOLERANCE);
    const some = (expected.documents as string[]).slice(0, expected.max_active_dims_4.length);
    const few = await model.encodeDocumentSparse(some, { maxActiveDims: 4 });
    expect(difference(entriesOf(few), expected.max_active_dims_4)).toBeLessThan(TOLERANCE);
    for (const [i, words] of expected.decode_document_top5.entries()) {
      const found = await model.decodeSparse(documents[i]!, { topK: 5 });
      expect(found.map(({ token }) => token)).toEqual(words.map(([token]: [string, number]) => token));
    }
    await expect(model.encode('a')).rejects.toThrow(/sparse vectors: call encodeSparse/);
    model.dispose();
  });

  it('a masked language model without modules is SPLADE', async () => {
    const expected = expectedOf('splade');
    const { readdirSync, readFileSync } = await import('node:fs');
    const { folderOf } = await import('./folders.js');
    const files = Object.fromEntries(
      readdirSync(folderOf('splade'))
        .filter((name) => /^(config|tokenizer|tokenizer_config)\.json$|safetensors$/.test(name))
        .map((name) => [name, readFileSync(`${folderOf('splade')}/${name}`)]),
    );
    const { loadModel } = await import('../../src/index.js');
    const { device } = await load('splade');
    const model = await loadModel(device, files);
    const documents = await model.encodeSparse((expected.documents as string[]).slice(0, 2));
    // The folder's own limit of 20 tokens cuts no text of these two.
    expect(difference(entriesOf(documents), expected.encode_document_sparse.slice(0, 2))).toBeLessThan(TOLERANCE);
    model.dispose();
  });
});

describe('BGE-M3', () => {
  it('has dense vectors, weights of words, and vectors of tokens', async () => {
    const expected = expectedOf('bge-m3');
    const model = await load('bge-m3');
    const [queries, documents] = [expected.queries as string[], expected.documents as string[]];
    const near = (found: unknown, truth: unknown) => expect(difference(found, truth)).toBeLessThan(TOLERANCE);
    const dense = [await model.encode(queries), await model.encode(documents)] as const;
    near(dense[0], expected.dense_queries);
    near(dense[1], expected.dense_documents);
    near(model.similarity(...dense), expected.scores.dense);
    const sparse = [await model.encodeSparse(queries), await model.encodeSparse(documents)] as const;
    const weights = (rows: Record<string, number>[]) =>
      rows.map((row) => Object.entries(row).map(([id, weight]) => [Number(id), weight]));
    near(entriesOf(sparse[0]), weights(expected.lexical_queries));
    near(entriesOf(sparse[1]), weights(expected.lexical_documents));
    near(model.similarity(...sparse), expected.scores.sparse);
    const tokens = [await model.encodeTokens(queries), await model.encodeTokens(documents)] as const;
    near(tokens[0], expected.colbert_queries);
    near(tokens[1], expected.colbert_documents);
    near(model.similarity(...tokens), expected.scores.colbert);
    near(model.maxSim(tokens[0][1]!, tokens[1][2]!), expected.scores.colbert[1][2]);
    model.dispose();
  });

  it('combines them like FlagEmbedding', async () => {
    const expected = expectedOf('bge-m3');
    const model = await load('bge-m3');
    const [queries, documents] = [expected.queries as string[], expected.documents as string[]];
    const [dense, sparse, colbert] = expected.weights_for_modes as [number, number, number];
    const pairs = queries.flatMap((query) => documents.map((document) => [query, document] as const));
    const found = await model.computeScore(pairs, { weights: { dense, sparse, colbert } });
    for (const [name, truth] of Object.entries(expected.scores)) {
      const scores = found.map((each) => each[name as keyof typeof each]);
      expect(difference(scores, (truth as number[][]).flat())).toBeLessThan(TOLERANCE);
    }
    const one = await model.computeScore(pairs[0]!); // each of them counts as much
    expect(one['colbert+sparse+dense']).toBeCloseTo((one.dense + one.sparse + one.colbert) / 3, 6);
    expect(one['sparse+dense']).toBeCloseTo((one.dense + one.sparse) / 2, 6);
    await expect(model.computeScore(pairs, { weights: { dense: 0, sparse: 0 } })).rejects.toThrow(/above 0/);
    await expect(model.computeScore(pairs, { weights: { colbert: -1 } })).rejects.toThrow(/colbert/);
    model.dispose();
    const other = await load('mean-normalize-prompts');
    await expect(other.computeScore(['a', 'b'])).rejects.toThrow(/no sparse_linear.pt.*call similarity/);
    other.dispose();
  });
});
