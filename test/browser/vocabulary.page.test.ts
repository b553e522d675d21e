// A page stays responsive while it reads a vocabulary of the size of the largest ones.
import { expect, it } from 'vitest';
import { openSource } from '../../src/pretrained/open-source.js';
import { parseTokenizer } from '../../src/tokenizers/index.js';
import { busyFor, longestTask, MAX_TASK_MS, wordPieceJson } from './tasks.js';

const WORDS = 200_000;

it('has no long task while it loads a tokenizer', { retry: 3 }, async () => {
  const json = wordPieceJson(WORDS);
  const source = await openSource([new File([json], 'tokenizer.json')]);
  await parseTokenizer(JSON.parse(json)); // modules are loaded, and the observer works:
  expect(await longestTask(async () => busyFor(120))).toBeGreaterThan(100);
  let size: number | undefined;
  const longest = await longestTask(async () => {
    const tokenizer = await parseTokenizer(await source.json('tokenizer.json'));
    size = tokenizer.vocabSize;
    expect(tokenizer.encode('b ba')).toEqual([tokenizer.tokenToId('b'), tokenizer.tokenToId('ba')]);
  });
  expect(size).toBe(WORDS + 5);
  expect(longest).toBeLessThan(MAX_TASK_MS);
});
