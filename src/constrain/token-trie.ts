/** The tokens of a vocabulary by their bytes, as a tree: what begins alike is looked at once. */
export class TokenTrie {
  /** Of node n: its children are nodes `first[n]` to below `first[n] + count[n]`, by byte. */
  readonly first: Int32Array;
  readonly count: Int32Array;
  /** The byte that leads to a node. */
  readonly byte: Uint8Array;
  /** Where the tokens are that end at a node, in `tokens`: from `tokenStart[n]` to below `tokenStart[n + 1]`. */
  readonly tokenStart: Int32Array;
  readonly tokens: Int32Array;
  readonly size: number;
  /** 1 for every byte that is in a token. */
  readonly usedBytes = new Uint8Array(256);

  /** `bytes[id]` is what a token stands for; null, or nothing, for tokens that stand for no text. */
  constructor(readonly bytes: readonly (Uint8Array | null)[]) {
    const ids = bytes.flatMap((each, id) => (each && each.length > 0 ? [id] : []));
    const of = (id: number) => bytes[id] as Uint8Array;
    ids.sort((a, b) => compare(of(a), of(b)));
    // Level by level, so that children lie side by side: a node is a range of sorted tokens with `depth` bytes alike.
    let level = [{ from: 0, to: ids.length }];
    const [first, count, byte, tokenStart, tokens]: number[][] = [[0], [0], [0], [], []];
    let [node, depth] = [0, 0];
    let total = 1;
    while (level.length > 0) {
      const next: typeof level = [];
      for (const { from, to } of level) {
        (tokenStart as number[])[node] = (tokens as number[]).length;
        let at = from;
        while (at < to && of(ids[at] as number).length === depth) (tokens as number[]).push(ids[at++] as number);
        (first as number[])[node] = total;
        let children = 0;
        while (at < to) {
          const here = of(ids[at] as number)[depth] as number;
          const begin = at;
          while (at < to && of(ids[at] as number)[depth] === here) at++;
          next.push({ from: begin, to: at });
          (byte as number[]).push(here);
          children++;
        }
        (count as number[])[node++] = children;
        total += children;
      }
      level = next;
      depth++;
    }
    (tokenStart as number[]).push((tokens as number[]).length);
    this.size = node;
    this.first = Int32Array.from(first as number[]);
    this.count = Int32Array.from(count as number[]);
    this.byte = Uint8Array.from(byte as number[]);
    for (const each of this.byte.subarray(1)) this.usedBytes[each] = 1;
    this.tokenStart = Int32Array.from(tokenStart as number[]);
    this.tokens = Int32Array.from(tokens as number[]);
  }
}

function compare(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return (a[i] as number) - (b[i] as number);
  return a.length - b.length;
}
