// Vectors of texts, by the modules of sentence-transformers.
import { describe, expect, it } from 'vitest';
import { difference, expectedOf, load, TOLERANCE } from './folders.js';

const folders = [
  'mean-normalize-prompts',
  'mean-exclude-prompt',
  'pooling-cls',
  'pooling-max',
  'pooling-mean-sqrt-len-tokens',
  'pooling-weightedmean',
  'pooling-lasttoken',
  'pooling-mean-max',
  'lasttoken-left-padding',
  'dense-layernorm',
  'dense-twice',
  'dense-gelu-residual',
  'router',
  'asym',
  'static-embedding',
  'truncate-dim',
];

describe('vectors of texts', () => {
  it.each(folders)('%s', async (name) => {
    const expected = expectedOf(name);
    const model = await load(name);
    const options = name === 'truncate-dim' ? { truncateDim: 12 } : {};
    const queries = await model.encodeQuery(expected.queries as string[], options);
    const documents = await model.encodeDocument(expected.documents as string[], options);
    expect(difference(queries, expected.encode_query)).toBeLessThan(TOLERANCE);
    expect(difference(documents, expected.encode_document)).toBeLessThan(TOLERANCE);
    const all = await model.encode(expected.texts as string[], options);
    expect(difference(all, expected.encode)).toBeLessThan(TOLERANCE);
    expect(difference(model.similarity(queries, documents), expected.similarity)).toBeLessThan(TOLERANCE);
    const pairs = model.similarityPairwise(queries, documents.slice(0, queries.length));
    expect(difference(pairs, expected.similarity_pairwise)).toBeLessThan(TOLERANCE);
    // One text alone has the same bits.
    expect(await model.encodeQuery(expected.queries[0], options)).toEqual(queries[0]);
    model.dispose();
  });

  it.each(['mean-normalize-prompts', 'mean-exclude-prompt'])('%s with prompts', async (name) => {
    const expected = expectedOf(name);
    const model = await load(name);
    const texts = (expected.texts as string[]).slice(0, expected.encode_no_prompt.length);
    const near = async (options: object, key: string) =>
      expect(difference(await model.encode(texts, options), expected[key]), key).toBeLessThan(TOLERANCE);
    await near({ promptName: 'title' }, 'encode_prompt_name_title');
    await near({ prompt: 'good ' }, 'encode_prompt_good');
    await near({ prompt: '' }, 'encode_no_prompt');
    await near({ normalize: true }, 'encode_normalized');
    await near({ truncateDim: 8 }, 'encode_truncate_8');
    await near({ truncateDim: 8, normalize: true }, 'encode_truncate_8_normalized');
    const wrong: [unknown, string][] = [
      [null, 'the texts are null'],
      [5, 'the texts are 5'],
      [[null], 'text 0 is null'],
    ];
    for (const [texts, message] of wrong)
      await expect(model.encode(texts as string)).rejects.toThrow(`encode: ${message}`);
    await expect(model.encode('a', { promptName: 'nothing' })).rejects.toThrow(/no prompt "nothing", but .*title/);
    model.dispose();
  });

  it('model2vec', async () => {
    const expected = expectedOf('model2vec');
    const model = await load('model2vec');
    expect(difference(await model.encode(expected.texts as string[]), expected.encode)).toBeLessThan(TOLERANCE);
    expect((await model.encode('')).every((value) => Math.abs(value) === 0)).toBe(true);
    model.dispose();
  });
});
