// The tokens that can follow are found in slices, with the masks of a search without pauses.
import { expect, it } from 'vitest';
import { AllowedTokens } from '../../src/constrain/allowed-tokens.js';
import { jsonSchemaGrammar } from '../../src/constrain/json-schema.js';
import { networkOf } from '../../src/constrain/network.js';
import { Recognizer } from '../../src/constrain/recognizer.js';
import { TokenBytes, tokenBytes } from '../../src/constrain/token-bytes.js';
import { tokenTrie } from '../../src/constrain/token-trie.js';
import { atOnce } from '../../src/core/slices.js';
import { Random } from '../random.js';
import { byteTokenizer } from './byte-tokenizer.js';

const schema = { type: 'object', properties: { a: { type: 'string' }, b: { type: 'integer' } }, required: ['a'] };
const TOKENS = 60_000;

/** Random texts of letters and quotes, as tokens of a large vocabulary. */
function largeVocabulary(): TokenBytes {
  const random = new Random('vocabulary');
  const bytes = new TokenBytes();
  bytes.push([]);
  for (let byte = 0; byte < 256; byte++) bytes.push([byte]);
  while (bytes.count < TOKENS)
    bytes.push(
      Array.from({ length: 2 + Math.floor(random.next() * 6) }, () => 0x20 + Math.floor(random.next() * 0x5f)),
    );
  return bytes;
}

const trie = atOnce(tokenTrie(largeVocabulary()));

function recognizer(): Recognizer {
  return new Recognizer(atOnce(networkOf(atOnce(jsonSchemaGrammar(schema)), trie)));
}

/** The places behind a text. */
const behind = (text: string, of: Recognizer) =>
  [...new TextEncoder().encode(text)].reduce((places, byte) => of.step(places, byte), of.start());

it('pauses while it searches a large vocabulary, also beside other searches', () => {
  const of = recognizer();
  const allowed = new AllowedTokens(of, trie, TOKENS);
  const places = ['{"a":"', '{"a":"x"', '{'].map((text) => behind(text, of));
  const searches = places.map((each) => allowed.prepare(each));
  let pauses = 0;
  for (let open = searches; open.length > 0; open = open.filter((each) => !each.next().done)) pauses += open.length;
  expect(pauses).toBeGreaterThan(10);
  const alone = recognizer();
  for (const [i, text] of ['{"a":"', '{"a":"x"', '{'].entries())
    expect(allowed.mask(places[i]!, 100)).toEqual(
      new AllowedTokens(alone, trie, TOKENS).mask(behind(text, alone), 100),
    );
  expect(atOnce(allowed.prepare(places[0]!))).toBe(undefined); // it is known
});

it('follows few new bytes between two pauses, because each takes long', () => {
  const of = recognizer();
  const allowed = new AllowedTokens(of, trie, TOKENS);
  const at = behind('{"a":"', of);
  let [news, max] = [0, 0];
  const step = of.step.bind(of);
  of.step = (from, byte) => {
    if (of.nextOf(from)[byte]! < 0) news++;
    return step(from, byte);
  };
  for (const search = allowed.prepare(at); ; news = 0) {
    const { done } = search.next();
    max = Math.max(max, news);
    if (done) break;
  }
  expect(max).toBeGreaterThan(0);
  expect(max).toBeLessThanOrEqual(2 * 256);
});

it('gives up if the recognizer forgets its places during a pause', () => {
  const of = recognizer();
  const allowed = new AllowedTokens(of, trie, TOKENS);
  const search = allowed.prepare(behind('{"a":"', of));
  search.next();
  of.epoch++;
  while (!search.next().done);
  const fresh = recognizer();
  const expected = new AllowedTokens(fresh, trie, TOKENS).mask(behind('{', fresh), 100);
  expect(allowed.mask(behind('{', of), 100)).toEqual(expected);
});

it('a tree has the tokens of each node, in the order of their bytes', async () => {
  const bytes = atOnce(tokenBytes(await byteTokenizer()));
  const { first, count, byte, tokenStart, tokens, size } = atOnce(tokenTrie(bytes));
  const found = new Map<number, number[]>();
  const visit = (node: number, path: number[]) => {
    for (let i = tokenStart[node]!; i < tokenStart[node + 1]!; i++) found.set(tokens[i]!, path);
    for (let child = first[node]!; child < first[node]! + count[node]!; child++) visit(child, [...path, byte[child]!]);
  };
  visit(0, []);
  expect(size).toBe(
    new Set([...found.values()].flatMap((path) => path.map((_, i) => `${path.slice(0, i + 1)}`))).size + 1,
  );
  for (let id = 0; id < bytes.count; id++) expect(found.get(id) ?? []).toEqual([...bytes.of(id)]);
});
