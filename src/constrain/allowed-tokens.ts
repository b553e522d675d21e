// Tokens that can follow at places of a network.
//
// Most tokens of a large vocabulary are words, which any string may contain. The tokens that can follow are found once
// for the states of a rule, for all of its callers. Some tokens stay inside the rule. For others, the result lists the
// nodes of the token tree at which the rule may end. From these nodes on, the caller decides.

import { atOnce } from '../core/slices.js';
import { NOWHERE, type Places, type Recognizer } from './recognizer.js';
import type { Sliced } from './slices.js';
import type { TokenTrie } from './token-trie.js';

interface Inside {
  readonly tokens: Int32Array;
  /** The minimum number of bytes from each token to the rule's end. */
  readonly distances: Int32Array;
  /** The nodes with children at which the rule may end. */
  readonly exits: Int32Array;
}

/** The tokens that can follow, or those that cannot, if these are fewer. */
export interface Mask {
  readonly ids: Int32Array;
  readonly areAllowed: boolean;
  /** True if a token can follow. */
  readonly isPossible: boolean;
  /** The maximum, over all allowed tokens, of the minimum number of bytes to the end. */
  readonly furthest: number;
}

/** The number of masks that are kept. Most masks have few tokens. */
const MAX_MASKS = 256;

/** The number of tokens that are kept for places. Masks keep the tokens that are needed again. */
const MAX_INSIDE = 2 ** 22;

/** Only places where at least MANY_BYTES bytes can follow are compared, and only automata of up to MAX_PLACES places. */
const MANY_BYTES = 64;
const MAX_PLACES = 48;

/** Results for places where many bytes can follow, by their signature: strings are alike in all schemas. */
const alike = new WeakMap<TokenTrie, Map<string, Inside>>();
const MAX_ALIKE = 8;

/** The number of tokens or nodes between two pauses. */
const STEPS = 1 << 14;

/** The number of steps that take as long as one of the recognizer to places that are not known yet. */
const NEW_PLACES = STEPS >> 8;

/** Tokens that a search has found. It belongs to one search at a time, because searches can pause. */
class Found {
  readonly tokens: Int32Array;
  readonly distances: Int32Array;
  /** 1 for each marked token. All are 0 between searches. */
  readonly marks: Uint8Array;
  readonly marked: Int32Array;
  count = 0;

  constructor(tokens: number, vocabulary: number) {
    [this.tokens, this.distances] = [new Int32Array(tokens), new Int32Array(tokens)];
    [this.marks, this.marked] = [new Uint8Array(vocabulary), new Int32Array(vocabulary)];
  }
}

/** Ends a search during whose pause the recognizer has forgotten its places. */
class Forgotten extends Error {}

export class AllowedTokens {
  readonly #inside = new Map<number, Inside>();
  #insideSize = 0;
  readonly #masks = new Map<Places, Mask>();
  /** The memory of the latest search, for the next one. Null while a search uses it. */
  #free: Found | null = null;
  #era = -1;

  constructor(
    private readonly recognizer: Recognizer,
    private readonly trie: TokenTrie,
    private readonly vocabulary: number,
  ) {}

  /** The tokens that can follow if the text must end within `bytes` bytes behind them. */
  mask(places: Places, bytes: number): Mask {
    this.#checkEra();
    let mask = this.#masks.get(places);
    if (mask === undefined) {
      mask = atOnce(this.#find(places, Number.POSITIVE_INFINITY));
      this.#keep(places, mask);
    }
    return mask.furthest <= bytes ? mask : atOnce(this.#find(places, bytes));
  }

  /**
   * Finds the tokens that can follow in slices, so that `mask` soon returns them. Ends without a result if the recognizer
   * forgets its places during a pause: `mask` then finds them itself.
   */
  *prepare(places: Places): Sliced<void> {
    this.#checkEra();
    if (this.#masks.has(places)) return;
    try {
      const mask = yield* this.#find(places, Number.POSITIVE_INFINITY);
      if (!this.#masks.has(places)) this.#keep(places, mask);
    } catch (error) {
      if (!(error instanceof Forgotten)) throw error;
    }
  }

  #keep(places: Places, mask: Mask): void {
    if (this.#masks.size === MAX_MASKS) this.#masks.delete(this.#masks.keys().next().value as Places); // the oldest mask
    this.#masks.set(places, mask);
  }

  *#find(places: Places, bytes: number): Sliced<Mask> {
    const found = this.#free ?? new Found(this.trie.tokens.length, this.vocabulary);
    this.#free = null;
    found.count = 0;
    try {
      const furthest = yield* this.#mark(found, places, 0, bytes, new Map());
      yield* this.#pause();
      return maskOf(found.marks, found.marked.subarray(0, found.count), furthest);
    } finally {
      for (let i = 0; i < found.count; i++) found.marks[found.marked[i] as number] = 0;
      this.#free = found;
    }
  }

  /** Pauses. Throws Forgotten if the numbers of places are no longer valid. */
  *#pause(): Sliced<void> {
    const { era } = this.recognizer;
    yield;
    if (this.recognizer.era !== era) throw new Forgotten();
  }

  #checkEra(): void {
    if (this.#era === this.recognizer.era) return;
    this.#era = this.recognizer.era;
    this.#inside.clear();
    this.#insideSize = 0;
    this.#masks.clear();
  }

  /** Marks the tokens below a node that can follow. Returns how far the end is. `done` has the finished pairs by stack. */
  *#mark(found: Found, places: Places, node: number, bytes: number, done: Map<number, Set<number>>): Sliced<number> {
    let furthest = 0;
    for (const group of this.recognizer.groups(places)) {
      const marked = done.get(group.stack) ?? new Set();
      done.set(group.stack, marked);
      const key = group.places * this.trie.size + node;
      if (marked.has(key)) continue;
      marked.add(key);
      const inside = yield* this.#insideOf(found, group.places, node);
      const { exits } = inside;
      const outside = this.recognizer.stackDistance(group.stack);
      furthest = Math.max(furthest, outside + (yield* this.#markInside(found, inside, bytes - outside)));
      if (exits.length === 0) continue;
      const after = this.recognizer.after(group.stack);
      if (after === NOWHERE) continue;
      for (const exit of exits) furthest = Math.max(furthest, yield* this.#mark(found, after, exit, bytes, done));
    }
    return furthest;
  }

  /** Marks the tokens from which the rule's end is at most `left` bytes away. Returns the greatest of their distances. */
  *#markInside(found: Found, { tokens, distances }: Inside, left: number): Sliced<number> {
    const { marks } = found;
    let greatest = 0;
    for (let i = 0; i < tokens.length; i++) {
      if (i % STEPS === STEPS - 1) yield* this.#pause();
      const distance = distances[i] as number;
      if (distance > left) continue;
      if (distance > greatest) greatest = distance;
      const token = tokens[i] as number;
      if (token >= marks.length || marks[token] === 1) continue; // there may be fewer scores than tokens
      marks[token] = 1;
      found.marked[found.count++] = token;
    }
    return greatest;
  }

  *#insideOf(found: Found, places: Places, node: number): Sliced<Inside> {
    const key = places * this.trie.size + node;
    const known = this.#inside.get(key);
    if (known) return known;
    const inside = yield* node === 0 ? this.#fromRoot(found, places) : this.#walk(found, places, node);
    this.#insideSize += inside.tokens.length;
    if (this.#insideSize > MAX_INSIDE) {
      this.#inside.clear();
      this.#insideSize = inside.tokens.length;
    }
    this.#inside.set(key, inside);
    return inside;
  }

  *#fromRoot(found: Found, places: Places): Sliced<Inside> {
    const signature = yield* this.#signatureOf(places);
    if (signature === null) return yield* this.#walk(found, places, 0);
    const own = alike.get(this.trie) ?? new Map<string, Inside>();
    alike.set(this.trie, own);
    const inside = own.get(signature) ?? (yield* this.#walk(found, places, 0));
    own.delete(signature);
    own.set(signature, inside); // the latest result is the last one
    if (own.size > MAX_ALIKE) own.delete(own.keys().next().value as string);
    return inside;
  }

  /** Equal for places with the same continuations. Null if few bytes can follow, or if the automaton is too large. */
  *#signatureOf(places: Places): Sliced<string | null> {
    const { recognizer } = this;
    const numbers = new Map<Places, number>([[places, 0]]);
    const rows: string[] = [];
    for (const at of numbers.keys()) {
      const row: number[] = [];
      let leadOn = 0;
      for (let byte = 0; byte < 256; byte++) {
        const next = recognizer.step(at, byte);
        if (next !== NOWHERE) leadOn++;
        if (next !== NOWHERE && !numbers.has(next)) numbers.set(next, numbers.size);
        row.push(numbers.get(next) ?? -1);
      }
      if ((at === places && leadOn < MANY_BYTES) || numbers.size > MAX_PLACES) return null;
      rows.push(`${recognizer.isEnd(at)} ${recognizer.distance(at)} ${row}`);
      yield* this.#pause();
    }
    return rows.join('\n');
  }

  *#walk(allowed: Found, places: Places, root: number): Sliced<Inside> {
    const { recognizer } = this;
    const { first, count, byte, tokenStart, tokens } = this.trie;
    let size = 0;
    let steps = 0;
    const exits: number[] = [];
    const todo: number[] = [root, places];
    while (todo.length > 0) {
      if (++steps >= STEPS) {
        steps = 0;
        yield* this.#pause();
      }
      const at = todo.pop() as Places;
      const node = todo.pop() as number;
      const from = first[node] as number;
      const end = from + (count[node] as number);
      if (node !== root) {
        const last = tokenStart[node + 1] as number;
        const distance = recognizer.distance(at);
        for (let i = tokenStart[node] as number; i < last; i++) {
          allowed.tokens[size] = tokens[i] as number;
          allowed.distances[size++] = distance;
        }
        if (end > from && recognizer.isEnd(at)) exits.push(node);
      }
      if (end === from) continue;
      const next = recognizer.nextOf(at);
      for (let child = from; child < end; child++) {
        let reached = next[byte[child] as number] as Places;
        if (reached < 0) {
          reached = recognizer.step(at, byte[child] as number);
          steps += NEW_PLACES;
        }
        if (reached !== NOWHERE) todo.push(child, reached);
      }
    }
    return {
      tokens: allowed.tokens.slice(0, size),
      distances: allowed.distances.slice(0, size),
      exits: Int32Array.from(exits),
    };
  }
}

function maskOf(marks: Uint8Array, marked: Int32Array, furthest: number): Mask {
  const allowed = marked.length;
  const areAllowed = 2 * allowed < marks.length;
  const mask = { areAllowed, isPossible: allowed > 0, furthest };
  if (areAllowed) return { ...mask, ids: marked.slice() };
  const ids = new Int32Array(marks.length - allowed);
  for (let id = 0, at = 0; id < marks.length; id++) if (marks[id] === 0) ids[at++] = id;
  return { ...mask, ids };
}

/** Forbids the tokens that a mask does not allow, except `kept`. */
export function applyMask(scores: Float32Array, { ids, areAllowed }: Mask, kept: readonly number[]): void {
  const saved = kept.map((id) => scores[id] as number);
  if (areAllowed) {
    const values = new Float32Array(ids.length);
    for (let i = 0; i < ids.length; i++) values[i] = scores[ids[i] as number] as number;
    scores.fill(Number.NEGATIVE_INFINITY);
    for (let i = 0; i < ids.length; i++) scores[ids[i] as number] = values[i] as number;
  } else for (let i = 0; i < ids.length; i++) scores[ids[i] as number] = Number.NEGATIVE_INFINITY;
  for (const [i, id] of kept.entries()) scores[id] = saved[i] as number;
}
