import { type Parts, sortedInParts } from '../core/slices.js';
import type { TokenBytes } from './token-bytes.js';

/** The tokens of a vocabulary by their bytes, as a tree: tokens with a common beginning share nodes. */
export interface TokenTrie {
  /** The bytes of each token. None for tokens that add no text. */
  readonly bytes: TokenBytes;
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

/** The child of a node at a byte; null if there is none. */
export function childOf({ first, count, byte }: TokenTrie, node: number, wanted: number): number | null {
  let low = first[node] as number;
  let high = low + (count[node] as number);
  while (low < high) {
    const middle = (low + high) >> 1;
    const found = byte[middle] as number;
    if (found === wanted) return middle;
    if (found < wanted) low = middle + 1;
    else high = middle;
  }
  return null;
}

/** The number of tokens or nodes between two pauses. */
const STEPS = 1024;

/** Builds the tree level by level, so that children are neighbours. Empty tokens are left out. */
export function* tokenTrie(bytes: TokenBytes): Parts<TokenTrie> {
  const { data } = bytes;
  const tokens = yield* sortedTokens(bytes);
  // Each node has a range of the sorted tokens: first those that end at it, then those of each child.
  const max = bytes.startOf(bytes.count) + 1;
  const [first, count, byte] = [new Int32Array(max), new Int32Array(max), new Uint8Array(max)];
  const [begins, ends, tokenStart] = [new Int32Array(max), new Int32Array(max), new Int32Array(max + 1)];
  const inOrder = new Int32Array(tokens.length);
  let sorted = 0;
  let size = 1;
  let steps = 0;
  ends[0] = tokens.length;
  for (let node = 0, depth = 0, level = 1; node < size; node++) {
    if (node === level) [depth, level] = [depth + 1, size];
    const end = ends[node] as number;
    tokenStart[node] = sorted;
    first[node] = size;
    for (let index = begins[node] as number; index < end; index++) {
      if (++steps % STEPS === 0) yield;
      const token = tokens[index] as number;
      const position = bytes.startOf(token) + depth;
      if (position === bytes.startOf(token + 1)) inOrder[sorted++] = token;
      else if (size > (first[node] as number) && byte[size - 1] === data[position]) ends[size - 1] = index + 1;
      else [byte[size], begins[size], ends[size++]] = [data[position] as number, index, index + 1];
    }
    count[node] = size - (first[node] as number);
  }
  tokenStart[size] = sorted;
  const usedBytes = new Uint8Array(256);
  for (let node = 1; node < size; node++) usedBytes[byte[node] as number] = 1;
  yield;
  const nodes = { first: first.slice(0, size), count: count.slice(0, size), byte: byte.slice(0, size) };
  const lists = { tokenStart: tokenStart.slice(0, size + 1), tokens: inOrder };
  return { bytes, ...nodes, ...lists, size, usedBytes, quoting: yield* quotingTokens(bytes, inOrder) };
}

/** The tokens that are not empty, in the order of their bytes. */
function* sortedTokens(bytes: TokenBytes): Parts<readonly number[]> {
  const { data } = bytes;
  const ids: number[] = [];
  for (let id = 0; id < bytes.count; id++) {
    if (id % STEPS === 0) yield;
    if (bytes.startOf(id + 1) > bytes.startOf(id)) ids.push(id);
  }
  const isBefore = (a: number, b: number) => {
    const [endOfA, endOfB] = [bytes.startOf(a + 1), bytes.startOf(b + 1)];
    let [i, j] = [bytes.startOf(a), bytes.startOf(b)];
    while (i < endOfA && j < endOfB && data[i] === data[j]) [i, j] = [i + 1, j + 1];
    return j < endOfB && (i === endOfA || (data[i] as number) < (data[j] as number));
  };
  return yield* sortedInParts(ids, isBefore);
}

const QUOTE = 0x22;

function* quotingTokens(bytes: TokenBytes, tokens: Int32Array): Parts<readonly (readonly number[])[]> {
  const byQuotes: number[][] = [[], [], [], []];
  for (let i = 0; i < tokens.length; i++) {
    if (i % STEPS === 0) yield;
    let quotes = 0;
    for (let index = bytes.startOf(tokens[i] as number); index < bytes.startOf((tokens[i] as number) + 1); index++)
      if (bytes.data[index] === QUOTE) quotes++;
    for (let min = 1; min <= Math.min(3, quotes); min++) byQuotes[min]?.push(tokens[i] as number);
  }
  return byQuotes;
}
