import { expect, it } from 'vitest';
import { atOnce } from '../../src/core/slices.js';
import { GgufTexts } from '../../src/io/gguf-values.js';
import { bytePairsOf, makeTables, prepareBytePairs, ranksOfTexts } from '../../src/tokenizers/byte-pairs.js';
import { KeyedHash } from '../../src/tokenizers/keyed-hash.js';
import { TokenTable } from '../../src/tokenizers/token-table.js';

/** Texts in the form of a GGUF file's metadata. */
function textsOf(texts: readonly Uint8Array[]): GgufTexts {
  const bytes = new Uint8Array(texts.reduce((sum, text) => sum + 8 + text.length, 0));
  let at = 0;
  for (const text of texts) {
    new DataView(bytes.buffer).setUint32(at, text.length, true);
    bytes.set(text, at + 8);
    at += 8 + text.length;
  }
  return new GgufTexts(texts.length, bytes);
}

const encoder = new TextEncoder();
const inUtf8 = (texts: readonly string[]) => textsOf(texts.map((text) => encoder.encode(text)));

it('finds the same as a Map of strings, for tokens of any bytes', () => {
  let seed = 1;
  const random = (below: number) => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return (seed >>> 8) % below;
  };
  const characters = ['a', 'b', ' ', 'Ġ', 'é', '▁', '中', '\u{ffff}', '🙂', '\u{10ffff}', '\ufeff', '\0'];
  const word = () => Array.from({ length: 1 + random(5) }, () => characters[random(characters.length)]).join('');
  const expected = new Map<string, number>();
  const tokens: Uint8Array[] = [];
  const add = (bytes: Uint8Array) => {
    const text = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes) || `[EMPTY_${tokens.length}]`;
    if (expected.has(text)) return;
    expected.set(text, tokens.length);
    tokens.push(bytes);
  };
  for (let i = 0; i < 2000; i++) add(encoder.encode(word()));
  const plain = new TokenTable(textsOf(tokens), 'tokens');
  expect([...plain]).toEqual([...expected]);
  add(new Uint8Array());
  for (let i = 0; i < 200; i++) add(Uint8Array.from({ length: 1 + random(5) }, () => random(256)));
  const table = new TokenTable(textsOf(tokens), 'tokens');
  expect([...table]).toEqual([...expected]);
  for (const [token, id] of expected)
    expect([table.get(token), table.find(token), table.at(id)]).toEqual([id, id, token]);
  for (let i = 0; i < 2000; i++) {
    const [left, right] = [word(), word()];
    const bytes = encoder.encode(left + right);
    expect(table.findBytes(bytes, 0, bytes.length)).toBe(expected.get(left + right));
    const cut = encoder.encode(left).length;
    expect(table.findBytes(bytes, 0, cut, cut, bytes.length)).toBe(expected.get(left + right));
  }
  expect(['\ud800', 'a\udc00', ''].map((half) => table.get(half))).toEqual([undefined, undefined, undefined]);
  expect([table.at(-1), table.at(0.5), table.at(tokens.length)]).toEqual([undefined, undefined, undefined]);
});

it('refuses duplicate tokens, by their bytes or by the decoded text', () => {
  expect(() => new TokenTable(inUtf8(['a', 'b', 'a']), 'the list')).toThrow(/the list has "a" twice/);
  const odd = [Uint8Array.of(0xff), encoder.encode('\ufffd')];
  expect(() => new TokenTable(textsOf(odd), 'the list')).toThrow(/twice/);
});

it('needs no more time for tokens that are chosen to collide', () => {
  const fnv1a = (bytes: Uint8Array) => bytes.reduce((hash, byte) => Math.imul(hash ^ byte, 0x01000193), 0x811c9dc5);
  const slotOf = (bytes: Uint8Array) => ((hash) => (hash ^ (hash >>> 15)) & 0xfff)(fnv1a(bytes));
  const tokens: Uint8Array[] = [];
  for (let i = 0; tokens.length < 2000; i++) {
    const token = encoder.encode(i.toString(36));
    if (slotOf(token) < 32) tokens.push(token);
  }
  const { length, bytes, starts, gap, at } = textsOf(tokens);
  let looks = 0;
  const counted = new Proxy(starts, {
    get: (target, place) => {
      looks++;
      return Reflect.get(target, place, target);
    },
  });
  // FNV-1a with a random seed had collisions for about 1 seed in 80: those whose low bits were the attacker's.
  for (let table = 0; table < 300; table++) {
    looks = 0;
    new TokenTable({ length, bytes, starts: counted, gap, at }, 'tokens');
    expect(looks).toBeLessThan(40 * tokens.length);
  }
});

it('hashes like HalfSipHash-1-3, for any split of a text', () => {
  // From lib/siphash_kunit.c of Linux: the hashes of '', 0, 0 1, 0 1 2, … with the key 0 1 2 … 7.
  const expected = [
    0x5814c896, 0xe7e864ca, 0xbc4b0e30, 0x01539939, 0x7e059ea6, 0x88e3d89b, 0xa0080b65, 0x9d38d9d6, 0x577999b1,
    0xc839caed, 0xe4fa32cf, 0x959246ee, 0x6b28096c, 0x66dd9cd6, 0x16658a7c, 0xd0257b04, 0x8b31d501,
  ];
  const hash = new KeyedHash([0x03020100, 0x07060504]);
  const bytes = Uint8Array.from(expected, (_, i) => i);
  for (const [length, value] of expected.entries())
    for (let cut = 0; cut <= length; cut++) expect(hash.ofBytes(bytes, 0, cut, cut, length) >>> 0).toBe(value);
});

it('ranks merges like the strings of a tokenizer.json', () => {
  const tokens = ['a', 'b', 'é', 'ab', 'éa', 'éab', 'a b', ' ', ' a'];
  const merges = ['a b', 'é a', 'éa b', 'a b', '  a'];
  const ranks = atOnce(ranksOfTexts(inUtf8(merges), new TokenTable(inUtf8(tokens), 'tokens')));
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  const pairs = merges.map((merge) => [merge.slice(0, merge.indexOf(' ', 1)), merge.slice(merge.indexOf(' ', 1) + 1)]);
  const { rankOf } = bytePairsOf({ type: 'BPE', vocab, merges: pairs } as unknown as Parameters<typeof bytePairsOf>[0]);
  for (const left of [...tokens, 'x'])
    for (const right of [...tokens, 'x']) expect(ranks(left, right), `${left} ${right}`).toBe(rankOf(left, right));
  expect([ranks('a', 'b'), ranks('é', 'a'), ranks('b', 'a')]).toEqual([3, 1, undefined]);
  const table = new TokenTable(inUtf8(tokens), 'tokens');
  for (const merge of ['ab', 'a x', 'b a', ''])
    expect(() => atOnce(ranksOfTexts(inUtf8([merge]), table))).toThrow(/the merge/);
});

it('makes the same tables of merges in slices as at once', async () => {
  const letters = [...'abcdefghijklmnopqrstuvwxyz'];
  const pairs = letters.flatMap((left) => letters.map((right) => [left, right]));
  const triples = pairs.flatMap(([left, right]) => letters.map((third) => [`${left}${right}`, third]));
  const merges = [...pairs, ...triples] as [string, string][];
  const tokens = [...letters, ...merges.map((pair) => pair.join(''))];
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  const model = { type: 'BPE', vocab, merges } as unknown as Parameters<typeof bytePairsOf>[0];
  const tables = makeTables(model);
  let pauses = 0;
  for (let next = tables.next(); !next.done; next = tables.next()) pauses++;
  expect(pauses).toBeGreaterThanOrEqual(Math.floor((tokens.length + merges.length) / 4096) - 1);
  const atOnce = bytePairsOf({ ...model });
  await prepareBytePairs(model);
  const prepared = bytePairsOf(model);
  expect(bytePairsOf(model)).toBe(prepared); // made once
  expect([...prepared.ids]).toEqual([...atOnce.ids]);
  for (const [i, [left, right]] of merges.entries())
    expect([prepared.rankOf(left, right), atOnce.rankOf(left, right)]).toEqual([i, i]);
  const odd = { ...model, merges: [['a', 'zzzz']] } as unknown as typeof model;
  await expect(prepareBytePairs(odd)).rejects.toThrow(/the merge/);
});
