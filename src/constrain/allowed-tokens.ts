// Which tokens can follow at some places of a network.
//
// Most tokens of a large vocabulary are words, and may stand inside of any string. So what can follow is found for the
// states of a rule once, wherever it was called from: the tokens that stay inside, and the nodes of the tree of tokens
// at which the rule ends, from where on the caller decides.

import { NOWHERE, type Places, type Recognizer } from './recognizer.js';
import type { TokenTrie } from './token-trie.js';

interface Inside {
  readonly tokens: Int32Array;
  /** The fewest bytes to the end of the rule, after each of them. */
  readonly distances: Int32Array;
  /** Nodes with children at which the rule may end. */
  readonly exits: Int32Array;
}

export class AllowedTokens {
  readonly #inside = new Map<number, Inside>();
  readonly #masks = new Map<Places, Uint8Array>();
  #era = -1;

  constructor(
    private readonly recognizer: Recognizer,
    private readonly trie: TokenTrie,
    private readonly vocabulary: number,
  ) {}

  /** 1 for each token that can follow, after which the text can end within `bytes`. */
  mask(places: Places, bytes: number): Uint8Array {
    this.#checkEra();
    const found = bytes === Number.POSITIVE_INFINITY ? this.#masks.get(places) : undefined;
    if (found) return found;
    const mask = new Uint8Array(this.vocabulary);
    this.#mark(places, 0, bytes, mask, new Map());
    if (bytes < Number.POSITIVE_INFINITY) return mask;
    if (this.#masks.size > 32) this.#masks.clear();
    this.#masks.set(places, mask);
    return mask;
  }

  #checkEra(): void {
    if (this.#era === this.recognizer.era) return;
    this.#era = this.recognizer.era;
    this.#inside.clear();
    this.#masks.clear();
  }

  /** Marks what can follow at `places` below a node; `done` by stack: what is marked. */
  #mark(places: Places, node: number, bytes: number, mask: Uint8Array, done: Map<number, Set<number>>): void {
    for (const group of this.recognizer.groups(places)) {
      const marked = done.get(group.stack) ?? new Set();
      done.set(group.stack, marked);
      const key = group.places * this.trie.size + node;
      if (marked.has(key)) continue;
      marked.add(key);
      const { tokens, distances, exits } = this.#insideOf(group.places, node);
      const left = bytes - this.recognizer.stackDistance(group.stack);
      for (let i = 0; i < tokens.length; i++) if ((distances[i] as number) <= left) mask[tokens[i] as number] = 1;
      if (exits.length === 0) continue;
      const after = this.recognizer.after(group.stack);
      if (after !== NOWHERE) for (const exit of exits) this.#mark(after, exit, bytes, mask, done);
    }
  }

  #insideOf(places: Places, node: number): Inside {
    const key = places * this.trie.size + node;
    const found = this.#inside.get(key);
    if (found) return found;
    const inside = this.#walk(places, node);
    this.#inside.set(key, inside);
    return inside;
  }

  #walk(places: Places, root: number): Inside {
    const { recognizer } = this;
    const { first, count, byte, tokenStart, tokens } = this.trie;
    const [allowed, distances, exits]: [number[], number[], number[]] = [[], [], []];
    const todo: number[] = [root, places];
    while (todo.length > 0) {
      const at = todo.pop() as Places;
      const node = todo.pop() as number;
      const [from, children] = [first[node] as number, count[node] as number];
      if (node !== root) {
        for (let i = tokenStart[node] as number; i < (tokenStart[node + 1] as number); i++) {
          allowed.push(tokens[i] as number);
          distances.push(recognizer.distance(at));
        }
        if (children > 0 && recognizer.isEnd(at)) exits.push(node);
      }
      for (let child = from; child < from + children; child++) {
        const reached = recognizer.step(at, byte[child] as number);
        if (reached !== NOWHERE) todo.push(child, reached);
      }
    }
    return {
      tokens: Int32Array.from(allowed),
      distances: Int32Array.from(distances),
      exits: Int32Array.from(exits),
    };
  }
}
