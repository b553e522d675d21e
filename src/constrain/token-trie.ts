import type { Sliced } from './slices.js';

/** The tokens of a vocabulary by their bytes, as a tree: tokens with a common beginning share nodes. */
export interface TokenTrie {
  /** The bytes of each token. Null for tokens that add no text. */
  readonly bytes: readonly (Uint8Array | null)[];
  /** The children of node n are the nodes from `first[n]` to below `first[n] + count[n]`, by byte. */
  readonly first: Int32Array;
  readonly count: Int32Array;
  /** The byte that leads to each node. */
  readonly byte: Uint8Array;
  /** The tokens that end at node n are `tokens[tokenStart[n]]` to below `tokens[tokenStart[n + 1]]`. */
  readonly tokenStart: Int32Array;
  readonly tokens: Int32Array;
  /** The number of nodes. */
  readonly size: number;
  /** 1 for each byte that a token contains. */
  readonly usedBytes: Uint8Array;
  /** Entry n, from 1 to 3: tokens with at least n quotes. Entry 0 is empty. */
  readonly quoting: readonly (readonly number[])[];
}

/** The number of tokens between two pauses. */
const STEPS = 1024;

/** Builds the tree level by level, so that children are neighbours. Empty tokens are left out. */
export function* tokenTrie(bytes: readonly (Uint8Array | null)[]): Sliced<TokenTrie> {
  const ids = bytes.flatMap((each, id) => (each && each.length > 0 ? [id] : []));
  const first = [0];
  const count: number[] = [];
  const byte = [0];
  const tokenStart: number[] = [];
  const tokens: number[] = [];
  let total = 1;
  let steps = 0;
  let level = [ids];
  for (let depth = 0; level.length > 0; depth++) {
    const next: number[][] = [];
    for (const node of level) {
      tokenStart.push(tokens.length);
      first[count.length] = total;
      const children: number[][] = [];
      for (const id of node) {
        const own = bytes[id] as Uint8Array;
        if (own.length === depth) tokens.push(id);
        else {
          const here = own[depth] as number;
          children[here] ??= [];
          children[here].push(id);
        }
        if (++steps % STEPS === 0) yield;
      }
      const before = next.length;
      children.forEach((child, here) => {
        next.push(child);
        byte.push(here);
      });
      count.push(next.length - before);
      total += next.length - before;
    }
    level = next;
  }
  tokenStart.push(tokens.length);
  const usedBytes = new Uint8Array(256);
  for (const each of byte.slice(1)) usedBytes[each] = 1;
  yield;
  const nodes = { first: Int32Array.from(first), count: Int32Array.from(count), byte: Uint8Array.from(byte) };
  yield;
  const ends = { tokenStart: Int32Array.from(tokenStart), tokens: Int32Array.from(tokens) };
  return { bytes, ...nodes, ...ends, size: count.length, usedBytes, quoting: yield* quotingTokens(bytes, tokens) };
}

const QUOTE = 0x22;

function* quotingTokens(
  bytes: readonly (Uint8Array | null)[],
  tokens: readonly number[],
): Sliced<readonly (readonly number[])[]> {
  const byQuotes: number[][] = [[], [], [], []];
  for (const [i, token] of tokens.entries()) {
    if (i % STEPS === 0) yield;
    let quotes = 0;
    for (const byte of bytes[token] as Uint8Array) if (byte === QUOTE) quotes++;
    for (let least = 1; least <= Math.min(3, quotes); least++) byQuotes[least]?.push(token);
  }
  return byQuotes;
}
