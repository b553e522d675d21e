// Ids of texts of many scripts, with emoji, combining marks and control characters: those of Rust's tokenizers, recorded by
// make_ids.py.
import { describe, expect, it } from 'vitest';
import { parseTokenizer } from '../../src/tokenizers/huggingface.js';
import { recordedIn } from './recorded.js';

interface Recorded {
  readonly json: object;
  readonly ids: readonly number[][];
  readonly decoded: readonly string[];
}

const recorded = recordedIn<{ texts: string[]; tokenizers: Record<string, Recorded> }>('ids.json.gz');
const kinds = recorded.tokenizers;

describe.each(Object.entries(kinds))('%s', async (_, { json, ids, decoded }) => {
  const tokenizer = await parseTokenizer(json);

  it('gives the same ids for every text', () => {
    const { inputIds } = tokenizer.encodeBatch(recorded.texts);
    const wrong = recorded.texts.flatMap((text, i) =>
      `${inputIds[i]}` === `${ids[i]}` ? [] : [{ text, got: inputIds[i], expected: ids[i] }],
    );
    expect(wrong).toEqual([]);
  });

  it('gives the same texts for ids', () => {
    const wrong = ids.flatMap((each, i) => {
      const got = tokenizer.decode(each, { skipSpecial: false });
      return got === decoded[i] ? [] : [{ ids: each, got, expected: decoded[i] }];
    });
    expect(wrong).toEqual([]);
  });
});
