import { constants } from 'node:buffer';
import { truncate, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { decodeText, readDictionary, readPairs, readText, words } from '../../src/cli/data.js';
import { ArgumentError } from '../../src/core/errors.js';
import { WordTokenizer } from '../../src/tokenizers/index.js';
import { temporaryFolder } from './run-cli.js';

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => folder.remove());

async function fileOf(text: string): Promise<string> {
  const path = folder.at('pairs.tsv');
  await writeFile(path, text);
  return path;
}

describe('readText', () => {
  it('distinguishes a text that is too long from invalid UTF-8', async () => {
    const path = await fileOf('a');
    await truncate(path, 2 ** 31); // a sparse file takes no space on the disk
    await expect(readText(path)).rejects.toThrow(/pairs\.tsv is too long: a text has at most \d+ characters, give/);
    expect(() => decodeText('it', new Uint8Array(constants.MAX_STRING_LENGTH + 1))).toThrow(/^it is too long: a text/);
    expect(() => decodeText('it', Uint8Array.of(0xff))).toThrow(/^it is not text in UTF-8$/);
  });

  it("recognizes Deno's error, which has no code", () => {
    vi.spyOn(TextDecoder.prototype, 'decode').mockImplementationOnce(() => {
      throw new TypeError('The encoded data is not valid');
    });
    expect(() => decodeText('it', Uint8Array.of(0xff))).toThrow(/^it is not text in UTF-8$/);
  });
});

describe('readPairs', () => {
  it('quotes the beginning of a long line', async () => {
    await expect(readPairs(await fileOf('a'.repeat(1e6)))).rejects.toThrow(/got "a{39}…"$/);
  });

  it('joins lines of the same source and takes several targets from one', async () => {
    const path = await fileOf('a\tX\tY\r\nb\tZ\n\na\tX\ra\tW');
    expect(await readPairs(path)).toEqual([
      { source: 'a', targets: ['X', 'Y', 'W'] },
      { source: 'b', targets: ['Z'] },
    ]);
  });

  it('converts sources to lower case on request', async () => {
    const path = await fileOf('Ab\tX\naB\tY\n');
    expect(await readPairs(path)).toHaveLength(2);
    expect(await readPairs(path, { lowerCase: true })).toEqual([{ source: 'ab', targets: ['X', 'Y'] }]);
  });

  it.each([
    ['a\tX\nb\n', /:2: expected a source, a tab and a target, got "b"/],
    ['\tX\n', /:1: expected a source/],
    ['a\t\n', /:1: expected a source/],
    ['a\tX\nb\t  \n', /:2: expected a source, a tab and a target, got "b\\t {2}"/],
    ['a\t\u00a0\u0085\n', /:1: expected a source, a tab and a target/],
    ['', /has no pairs, expected/],
    ['\n\n', /has no pairs, expected/],
  ])('refuses %j', async (text, message) => {
    const path = await fileOf(text);
    await expect(readPairs(path)).rejects.toThrow(ArgumentError);
    await expect(readPairs(path)).rejects.toThrow(message);
  });
});

it('splits words like the tokenizer of pronunciations', () => {
  const text = ' HH\u00a0AH  L\u2003OW\u0085\ufeff ';
  const tokenizer = WordTokenizer.train(text, { split: 'whitespace' });
  expect(words(text)).toEqual(['HH', 'AH', 'L', 'OW', '\ufeff']);
  expect(words(text)).toEqual(words(tokenizer.decode(tokenizer.encode(text))));
  expect(words(' \u00a0')).toEqual([]);
});

it('readDictionary returns words with their pronunciations, without stress', async () => {
  const pairs = new Map((await readDictionary()).map(({ source, targets }) => [source, targets]));
  expect(pairs.size).toBeGreaterThan(100_000);
  expect(pairs.get('hello')).toEqual(['HH AH L OW', 'HH EH L OW']);
  expect(pairs.get('read')?.toSorted()).toEqual(['R EH D', 'R IY D']);
});
