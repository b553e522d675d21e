// Every step of a tokenizer.json, alone and with others: what Rust's tokenizers make of texts, recorded by make_steps.py.
import { describe, expect, it } from 'vitest';
import type { BatchEncoding } from '../../src/tokenizers/batch-encoding.js';
import { parseTokenizer } from '../../src/tokenizers/huggingface.js';
import { recordedIn } from './recorded.js';

/** Ids, types, special tokens, places one after another, and words. */
type Row = readonly [number[], number[], number[], number[], (number | null)[]];

interface Case {
  readonly model: string;
  readonly parts: Readonly<Record<string, unknown>>;
  readonly rows: readonly Row[];
  /** Decoded rows that are not empty. */
  readonly decoded: readonly string[];
  readonly pairs: readonly Row[][];
}

interface Recorded {
  readonly texts: readonly string[];
  readonly cases: readonly Case[];
  /** Places of the parts of each text that patterns cut it into. */
  readonly patterns: readonly (readonly [pattern: string, places: readonly number[][]])[];
}

const { texts, cases, patterns } = recordedIn<Recorded>('steps.json.gz');
const models = recordedIn<{ tokenizers: Record<string, { json: object }> }>('ids.json.gz').tokenizers;

function rowsOf({ inputIds, tokenTypeIds, specialTokensMask, offsets, wordIds }: BatchEncoding): unknown[] {
  return inputIds.map((ids, i) => [ids, tokenTypeIds[i], specialTokensMask[i], offsets[i]?.flat(), wordIds[i]]);
}

const named = cases.map(
  (each, i) => [`${i}: ${each.model} with ${JSON.stringify(each.parts)}`.slice(0, 300), each] as const,
);

describe.each(named)('%s', async (_, { model, parts, rows, decoded, pairs }) => {
  const tokenizer = await parseTokenizer({ ...models[model]?.json, ...parts });

  it('gives the same tokens for every text, at the same positions', () => {
    const got = rowsOf(tokenizer.encodeBatch(texts));
    for (const [i, text] of texts.entries()) expect({ text, row: got[i] }).toEqual({ text, row: rows[i] });
  });

  it('gives the same texts for ids', () => {
    const full = rows.filter(([ids]) => ids.length > 0);
    expect(full.map(([ids]) => tokenizer.decode(ids))).toEqual(decoded);
  });

  it('truncates pairs equally', () => {
    const cut = { textPair: texts.slice(43, 49), maxLength: 12, stride: 1, returnOverflowingTokens: true };
    expect(rowsOf(tokenizer.encodeBatch(texts.slice(23, 29), cut))).toEqual(pairs.flat());
  });
});

it.each(patterns)('splits at %s', async (Regex, places) => {
  const pre_tokenizer = { type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false };
  const model = { type: 'WordLevel', vocab: { '?': 0 }, unk_token: '?' };
  const { offsets } = (await parseTokenizer({ model, pre_tokenizer })).encodeBatch(texts);
  expect(offsets.map((each) => each.flat())).toEqual(places);
});
