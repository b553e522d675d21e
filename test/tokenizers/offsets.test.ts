// Offsets of tokens, and batches. Rust's tokenizers gave the expected values (make_offsets.py).
import { describe, expect, it } from 'vitest';
import type { BatchEncoding } from '../../src/tokenizers/batch-encoding.js';
import { parseTokenizer } from '../../src/tokenizers/huggingface.js';
import { recordedIn } from './recorded.js';

type Row = { readonly [Name in Exclude<keyof BatchEncoding, 'overflowToSampleMapping'>]: BatchEncoding[Name][number] };
interface Recorded {
  readonly json: object;
  readonly texts: readonly (Row & { readonly text: string })[];
  readonly batches: readonly {
    readonly texts: readonly [string, string];
    readonly options: { truncation: 'longest_first' | 'only_first' | 'only_second'; maxLength: number; stride: number };
    readonly rows: readonly Row[];
  }[];
}

const rowOf = (batch: BatchEncoding, i: number) =>
  Object.fromEntries(
    Object.entries(batch)
      .filter(([name]) => name !== 'overflowToSampleMapping')
      .map(([name, rows]) => [name, rows[i]]),
  );

describe.each(Object.entries(recordedIn<Record<string, Recorded>>('offsets.json.gz')))(
  '%s',
  async (_, { json, texts, batches }) => {
    const tokenizer = await parseTokenizer(json);

    it.each(texts)('$text', ({ text, ...row }) => {
      expect(rowOf(tokenizer.encodeBatch([text]), 0)).toEqual(row);
      const alone = tokenizer.encodeBatch([text], { returnOffsets: false });
      expect(alone).toEqual({ ...tokenizer.encodeBatch([text]), offsets: [], wordIds: [] });
    });

    it.each(batches)('$texts $options', ({ texts: [first, second], options, rows }) => {
      const batch = tokenizer.encodeBatch([first], { ...options, textPair: [second], returnOverflowingTokens: true });
      expect(rowOf(batch, 0)).toEqual(rows[0]);
      // Rust's leaves types of before the template to what was cut off, and gives some parts twice.
      const keyOf = ({ inputIds, offsets, wordIds }: Partial<Row>) => JSON.stringify([inputIds, offsets, wordIds]);
      const all = batch.inputIds.map((_, i) => keyOf(rowOf(batch, i)));
      expect(new Set(all)).toEqual(new Set(rows.map(keyOf)));
    });
  },
);
