// Fuzzes the reader of tokenizer.json with valid files that have a few changes, and with arbitrary text. It must throw an
// error of this package, or return a tokenizer whose ids and texts are sound. To run it for 30 seconds:
//
//   npm run fuzz -- tokenizer 30
import assert from 'node:assert';
import { readFileSync } from 'node:fs';
import { parseTokenizer, type TokenizerConfig } from '../../src/tokenizers/index.js';
import { checked, withoutTraces } from './checked.js';
import { jsonVariants } from './json-variants.js';

interface Files {
  readonly json: object;
  readonly config: TokenizerConfig;
}

const read = (path: string) => JSON.parse(readFileSync(path, 'utf8'));

const folders = ['test/tasks/wordpiece', ...['bge-m3', 'splade'].map((name) => `test/data/formats/sentence/${name}`)];
const seeds: Files[] = folders.map((path) => ({
  json: read(`${path}/tokenizer.json`),
  config: read(`${path}/tokenizer_config.json`),
}));
const TEXTS = ['Hello, world! 12 é\u0301\n', '<s> a</s>[CLS] \u{1F600}', ''];

export function fuzz(bytes: Buffer): Promise<void> {
  return withoutTraces(async () => {
    const text = `{${bytes.toString()}`;
    await checked(text, () => parseTokenizer(text));
    for (const files of jsonVariants(bytes, seeds)) await checked(files, () => check(files));
  });
}

/** `files` are those of a seed with changes: any part may have become any value. */
async function check(files: Files | null): Promise<void> {
  const { json, config } = files ?? ({} as Files);
  const tokenizer = await parseTokenizer(json, config);
  for (const text of TEXTS) {
    const ids = tokenizer.encode(text);
    assert.ok([...ids].every((id) => Number.isInteger(id) && id >= 0 && id < 2 ** 31));
    assert.equal(typeof tokenizer.decode(ids), 'string');
  }
  const { inputIds, attentionMask } = tokenizer.encodeBatch(TEXTS);
  assert.equal(inputIds.length, attentionMask.length);
}
