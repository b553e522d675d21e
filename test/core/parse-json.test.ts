import { expect, it } from 'vitest';
import { parseJsonAsync } from '../../src/core/parse-json.js';
import { Random } from '../../src/core/random.js';

const LONG = 150_000;

/** Texts longer than the parts that are parsed at once. */
function valid(): unknown[] {
  const words = Object.fromEntries(Array.from({ length: 20_000 }, (_, i) => [`w"\\${i}}é`, i]));
  const pairs = Array.from({ length: 20_000 }, (_, i) => [`[${i}`, `,"${i}`]);
  const nested = (depth: number): unknown => (depth === 0 ? 'x'.repeat(LONG) : [1, nested(depth - 1), { a: null }]);
  return [
    words,
    pairs,
    { version: '1.0', empty: {}, none: [], model: { type: 'BPE', vocab: words, merges: pairs }, last: true },
    [pairs, words, 'x'.repeat(LONG), -1.5e3, false],
    nested(20),
    'y'.repeat(LONG),
    { ['k'.repeat(LONG)]: 1, a: 2 },
  ];
}

it('gives the result of JSON.parse, with the same order of names', async () => {
  for (const value of valid())
    for (const space of ['', ' ', '\n\t']) {
      const text = `${space}${JSON.stringify(value, null, space)}${space}`;
      const parsed = await parseJsonAsync(text);
      expect(JSON.stringify(parsed)).toBe(JSON.stringify(value));
    }
});

it('keeps the last of equal names, and __proto__ as a name', async () => {
  const long = `"${'x'.repeat(LONG)}"`;
  const text = `{"a": ${long}, "b": 1, "__proto__": {"c": ${long}}, "a": 2}`;
  const parsed = (await parseJsonAsync(text)) as object;
  expect(Object.entries(parsed)).toEqual(Object.entries(JSON.parse(text)));
  expect(Object.getPrototypeOf(parsed)).toBe(Object.prototype);
});

it('refuses what JSON.parse refuses, with its message', async () => {
  const random = new Random(1);
  const texts = valid().map((value) => JSON.stringify(value));
  const damaged = texts.flatMap((text) => {
    const cuts = Array.from({ length: 3 }, () => random.below(text.length));
    const put = (at: number, what: string, length = 1) => text.slice(0, at) + what + text.slice(at + length);
    const ends = [`${text}1`, `${text}}`, `[${text},]`, `{"a":${text},}`, `[,${text}]`, `{"a" ${text}}`, `[${text} 1]`];
    return [
      ...ends,
      ...cuts.flatMap((at) => [text.slice(0, at), put(at, '"'), put(at, ','), put(at, '}'), put(at, '', 2)]),
    ];
  });
  for (const text of damaged) {
    let expected: unknown;
    try {
      expected = JSON.parse(text);
    } catch (error) {
      await expect(parseJsonAsync(text)).rejects.toThrow((error as SyntaxError).message);
      continue;
    }
    expect(JSON.stringify(await parseJsonAsync(text))).toBe(JSON.stringify(expected));
  }
});
