// Tokens that can follow in the configurations of a network.
//
// Most tokens of a large vocabulary are words, which any string may contain. The tokens that can follow are found once
// for the states of a rule, for all of its callers. Some tokens stay inside the rule. For others, the result lists the
// nodes of the token tree at which the rule may end. From these nodes on, the caller decides.

import { atOnce, type Parts } from '../core/slices.js';
import { type ConfigurationSet, EMPTY_SET, type Recognizer } from './recognizer.js';
import type { TokenTrie } from './token-trie.js';

/** The tokens that stay inside a rule, and the nodes of the token tree at which the rule may end. */
interface RuleTokens {
  readonly tokens: Int32Array;
  /** The number of further tokens that suffice from each token to the rule's end. */
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
  /** The maximum, over all allowed tokens, of the number of further tokens that suffice to the end. */
  readonly maxDistance: number;
}

/** The number of masks that are kept. Most masks have few tokens. */
const MAX_MASKS = 256;

/** The number of tokens that are cached for rules. Masks cache the tokens that are needed again. */
const MAX_RULE_TOKENS = 2 ** 22;

/** Sets are compared only if this number of bytes can follow, and if their automaton has a limited number of sets. */
const MIN_COMPARED_BYTES = 64;
const MAX_COMPARED_SETS = 48;

/** Results for sets where many bytes can follow, by their signature. Strings have the same one in all schemas. */
const ruleTokensBySignature = new WeakMap<TokenTrie, Map<string, RuleTokens>>();
const MAX_SIGNATURES = 8;

/** The number of tokens or nodes between two pauses. */
const STEPS = 1 << 14;

/** The number of steps that take as long as one step of the recognizer to a set that is not cached yet. */
const STEPS_OF_NEW_SET = STEPS >> 8;

/** The memory of a search. It belongs to one search at a time, because searches can pause. */
class SearchMemory {
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

/** Ends a search during whose pause the recognizer has cleared its cache. */
class StaleSetsError extends Error {}

export class AllowedTokens {
  readonly #ruleTokens = new Map<number, RuleTokens>();
  #ruleTokensSize = 0;
  readonly #masks = new Map<ConfigurationSet, Mask>();
  /** The memory of the latest search, for the next one. Null while a search uses it. */
  #memory: SearchMemory | null = null;
  #epoch = -1;

  constructor(
    private readonly recognizer: Recognizer,
    private readonly trie: TokenTrie,
    private readonly vocabulary: number,
  ) {}

  /** The tokens that can follow if `later` tokens after them must suffice to end the text. */
  mask(set: ConfigurationSet, later: number): Mask {
    this.#checkEpoch();
    let mask = this.#masks.get(set);
    if (mask === undefined) {
      mask = atOnce(this.#find(set, Number.POSITIVE_INFINITY));
      this.#remember(set, mask);
    }
    return mask.maxDistance <= later ? mask : atOnce(this.#find(set, later));
  }

  /**
   * Finds the tokens that can follow in slices, so that `mask` soon returns them. Ends without a result if the
   * recognizer clears its cache during a pause: `mask` then finds them itself.
   */
  *prepare(set: ConfigurationSet): Parts<void> {
    this.#checkEpoch();
    if (this.#masks.has(set)) return;
    try {
      const mask = yield* this.#find(set, Number.POSITIVE_INFINITY);
      if (!this.#masks.has(set)) this.#remember(set, mask);
    } catch (error) {
      if (!(error instanceof StaleSetsError)) throw error;
    }
  }

  #remember(set: ConfigurationSet, mask: Mask): void {
    if (this.#masks.size === MAX_MASKS) this.#masks.delete(this.#masks.keys().next().value as ConfigurationSet); // the oldest mask
    this.#masks.set(set, mask);
  }

  *#find(set: ConfigurationSet, later: number): Parts<Mask> {
    const memory = this.#memory ?? new SearchMemory(this.trie.tokens.length, this.vocabulary);
    this.#memory = null;
    memory.count = 0;
    try {
      const maxDistance = yield* this.#mark(memory, set, 0, later, new Map());
      yield* this.#pause();
      return maskOf(memory.marks, memory.marked.subarray(0, memory.count), maxDistance);
    } finally {
      for (let i = 0; i < memory.count; i++) memory.marks[memory.marked[i] as number] = 0;
      this.#memory = memory;
    }
  }

  /** Pauses. Throws StaleSetsError if the numbers of sets are no longer valid. */
  *#pause(): Parts<void> {
    const { epoch } = this.recognizer;
    yield;
    if (this.recognizer.epoch !== epoch) throw new StaleSetsError();
  }

  #checkEpoch(): void {
    if (this.#epoch === this.recognizer.epoch) return;
    this.#epoch = this.recognizer.epoch;
    this.#ruleTokens.clear();
    this.#ruleTokensSize = 0;
    this.#masks.clear();
  }

  /**
   * Marks the tokens below a node that can follow. Returns their greatest distance to the end. `done` has the finished
   * pairs of a set and a node, by stack.
   */
  *#mark(
    memory: SearchMemory,
    set: ConfigurationSet,
    node: number,
    later: number,
    done: Map<number, Set<number>>,
  ): Parts<number> {
    let maxDistance = 0;
    for (const group of this.recognizer.groups(set)) {
      const marked = done.get(group.stack) ?? new Set();
      done.set(group.stack, marked);
      const key = group.set * this.trie.size + node;
      if (marked.has(key)) continue;
      marked.add(key);
      const ruleTokens = yield* this.#ruleTokensOf(memory, group.set, node);
      const { exits } = ruleTokens;
      const stackDistance = this.recognizer.stackDistance(group.stack);
      maxDistance = Math.max(
        maxDistance,
        stackDistance + (yield* this.#markRuleTokens(memory, ruleTokens, later - stackDistance)),
      );
      if (exits.length === 0) continue;
      const after = this.recognizer.after(group.stack);
      if (after === EMPTY_SET) continue;
      for (const exit of exits)
        maxDistance = Math.max(maxDistance, yield* this.#mark(memory, after, exit, later, done));
    }
    return maxDistance;
  }

  /**
   * Marks the tokens from which `left` further tokens suffice to the rule's end. Returns the greatest of their
   * distances.
   */
  *#markRuleTokens(memory: SearchMemory, { tokens, distances }: RuleTokens, left: number): Parts<number> {
    const { marks } = memory;
    let maxDistance = 0;
    for (let i = 0; i < tokens.length; i++) {
      if (i % STEPS === STEPS - 1) yield* this.#pause();
      const distance = distances[i] as number;
      if (distance > left) continue;
      if (distance > maxDistance) maxDistance = distance;
      const token = tokens[i] as number;
      if (token >= marks.length || marks[token] === 1) continue; // there may be fewer scores than tokens
      marks[token] = 1;
      memory.marked[memory.count++] = token;
    }
    return maxDistance;
  }

  *#ruleTokensOf(memory: SearchMemory, set: ConfigurationSet, node: number): Parts<RuleTokens> {
    const key = set * this.trie.size + node;
    const known = this.#ruleTokens.get(key);
    if (known) return known;
    const ruleTokens = yield* node === 0 ? this.#fromRoot(memory, set) : this.#walk(memory, set, node);
    this.#ruleTokensSize += ruleTokens.tokens.length;
    if (this.#ruleTokensSize > MAX_RULE_TOKENS) {
      this.#ruleTokens.clear();
      this.#ruleTokensSize = ruleTokens.tokens.length;
    }
    this.#ruleTokens.set(key, ruleTokens);
    return ruleTokens;
  }

  *#fromRoot(memory: SearchMemory, set: ConfigurationSet): Parts<RuleTokens> {
    const signature = yield* this.#signatureOf(set);
    if (signature === null) return yield* this.#walk(memory, set, 0);
    const rulesBySignature = ruleTokensBySignature.get(this.trie) ?? new Map<string, RuleTokens>();
    ruleTokensBySignature.set(this.trie, rulesBySignature);
    const ruleTokens = rulesBySignature.get(signature) ?? (yield* this.#walk(memory, set, 0));
    rulesBySignature.delete(signature);
    rulesBySignature.set(signature, ruleTokens); // the latest result is the last one
    if (rulesBySignature.size > MAX_SIGNATURES) rulesBySignature.delete(rulesBySignature.keys().next().value as string);
    return ruleTokens;
  }

  /** Equal for sets with the same continuations. Null if few bytes can follow, or if the automaton is too large. */
  *#signatureOf(set: ConfigurationSet): Parts<string | null> {
    const { recognizer } = this;
    const numbers = new Map<ConfigurationSet, number>([[set, 0]]);
    const rows: string[] = [];
    for (const number of numbers.keys()) {
      const row: number[] = [];
      let continuations = 0;
      for (let byte = 0; byte < 256; byte++) {
        const next = recognizer.step(number, byte);
        if (next !== EMPTY_SET) continuations++;
        if (next !== EMPTY_SET && !numbers.has(next)) numbers.set(next, numbers.size);
        row.push(numbers.get(next) ?? -1);
      }
      if ((number === set && continuations < MIN_COMPARED_BYTES) || numbers.size > MAX_COMPARED_SETS) return null;
      rows.push(`${recognizer.isEnd(number)} ${recognizer.distance(number)} ${row}`);
      yield* this.#pause();
    }
    return rows.join('\n');
  }

  *#walk(memory: SearchMemory, set: ConfigurationSet, root: number): Parts<RuleTokens> {
    const { recognizer } = this;
    const { first, count, byte, tokenStart, tokens } = this.trie;
    let size = 0;
    let steps = 0;
    const exits: number[] = [];
    const todo: number[] = [root, set];
    while (todo.length > 0) {
      if (++steps >= STEPS) {
        steps = 0;
        yield* this.#pause();
      }
      const configurations = todo.pop() as ConfigurationSet;
      const node = todo.pop() as number;
      const from = first[node] as number;
      const end = from + (count[node] as number);
      if (node !== root) {
        const last = tokenStart[node + 1] as number;
        const distance = recognizer.distance(configurations);
        for (let i = tokenStart[node] as number; i < last; i++) {
          memory.tokens[size] = tokens[i] as number;
          memory.distances[size++] = distance;
        }
        if (end > from && recognizer.isEnd(configurations)) exits.push(node);
      }
      if (end === from) continue;
      const next = recognizer.nextOf(configurations);
      for (let child = from; child < end; child++) {
        let reached = next[byte[child] as number] as ConfigurationSet;
        if (reached < 0) {
          reached = recognizer.step(configurations, byte[child] as number);
          steps += STEPS_OF_NEW_SET;
        }
        if (reached !== EMPTY_SET) todo.push(child, reached);
      }
    }
    return {
      tokens: memory.tokens.slice(0, size),
      distances: memory.distances.slice(0, size),
      exits: Int32Array.from(exits),
    };
  }
}

function maskOf(marks: Uint8Array, marked: Int32Array, maxDistance: number): Mask {
  const allowed = marked.length;
  const areAllowed = 2 * allowed < marks.length;
  const mask = { areAllowed, isPossible: allowed > 0, maxDistance };
  if (areAllowed) return { ...mask, ids: marked.slice() };
  const ids = new Int32Array(marks.length - allowed);
  for (let id = 0, index = 0; id < marks.length; id++) if (marks[id] === 0) ids[index++] = id;
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
