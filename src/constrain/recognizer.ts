// Simulates a network byte by byte, in all configurations at once. It caches the result of each
// byte, so that each is computed once.

import { ResponseFormatError } from './format-error.js';
import type { Network, State } from './states.js';

/** A set of configurations, by its number. A configuration is a state and the stack of calls to return to. */
export type ConfigurationSet = number;

/** The empty set: no text of the format has this beginning. */
export const EMPTY_SET: ConfigurationSet = 0;

/**
 * Limits of the cache: sets, and configurations in all sets. Beyond them, the cache is cleared before the next text.
 */
const MAX_SETS = 20_000;
const MAX_REMEMBERED = 2_000_000;
/** The limit within one text: a format with more configurations would take too much time and memory. */
const MAX_SIZE = 2 * MAX_REMEMBERED;

interface ConfigurationSetData {
  /** The state and the stack of each configuration, in order. */
  readonly states: Int32Array;
  readonly stacks: Int32Array;
  /** The set after each byte, or -1 if it is not computed yet. */
  readonly next: Int32Array;
  /** True if the root rule may end here. */
  readonly isEnd: boolean;
  /** A number of tokens that suffice to reach the root rule's end. */
  readonly distance: number;
}

/** Configurations with the same stack. `set` has their states with the empty stack. */
export interface Group {
  readonly stack: number;
  readonly set: ConfigurationSet;
}

export class Recognizer {
  readonly #states: readonly State[];
  #sets: ConfigurationSetData[] = [];
  #setOfKey = new Map<string, ConfigurationSet>();
  #groups = new Map<ConfigurationSet, Group[]>();
  /** For each stack: the state that its last call returns to, its other calls, and the minimum bytes to its end. */
  #returnStates: number[] = [-1];
  #outerStacks: number[] = [0];
  #distances: number[] = [0];
  #stacks = new Map<number, number>();
  /** The number of configurations in all cached sets. */
  #size = 0;
  /** Increases when the cache is cleared. Numbers of sets from earlier epochs are invalid. */
  epoch = 0;

  constructor(private readonly network: Network) {
    this.#states = network.states;
    this.#reset();
  }

  /** The set at the beginning of a text. May clear the cache and begin a new epoch. */
  start(): ConfigurationSet {
    if (this.#sets.length > MAX_SETS || this.#size > MAX_REMEMBERED) this.#reset();
    return this.#intern([[this.network.start, 0]]);
  }

  step(from: ConfigurationSet, byte: number): ConfigurationSet {
    const data = this.#sets[from] as ConfigurationSetData;
    const found = data.next[byte] as number;
    if (found >= 0) return found;
    const reached: [number, number][] = [];
    for (const [i, state] of data.states.entries())
      for (const { first, last, to } of (this.#states[state] as State).edges)
        if (byte >= first && byte <= last) reached.push([to, data.stacks[i] as number]);
    const next = reached.length === 0 ? EMPTY_SET : this.#intern(reached);
    data.next[byte] = next;
    return next;
  }

  /** The set after each byte, or -1 for bytes that `step` has not computed yet. */
  nextOf(set: ConfigurationSet): Int32Array {
    return (this.#sets[set] as ConfigurationSetData).next;
  }

  isEnd(set: ConfigurationSet): boolean {
    return (this.#sets[set] as ConfigurationSetData).isEnd;
  }

  /** True if a byte can follow. */
  canContinue(set: ConfigurationSet): boolean {
    const { states } = this.#sets[set] as ConfigurationSetData;
    return states.some((state) => (this.#states[state] as State).edges.length > 0);
  }

  distance(set: ConfigurationSet): number {
    return (this.#sets[set] as ConfigurationSetData).distance;
  }

  /** The configurations by their stacks. Inside a rule, only the states decide which text can follow. */
  groups(set: ConfigurationSet): readonly Group[] {
    const found = this.#groups.get(set);
    if (found) return found;
    const { states, stacks } = this.#sets[set] as ConfigurationSetData;
    const byStack = new Map<number, [number, number][]>();
    for (const [i, stack] of stacks.entries()) {
      const state = states[i] as number;
      if ((this.#states[state] as State).edges.length === 0) continue;
      const members = byStack.get(stack) ?? [];
      byStack.set(stack, members);
      members.push([state, 0]);
    }
    const groups = [...byStack].map(([stack, members]) => ({ stack, set: this.#intern(members) }));
    this.#groups.set(set, groups);
    return groups;
  }

  /** A number of tokens that suffice after a group's rule. */
  stackDistance(stack: number): number {
    return this.#distances[stack] as number;
  }

  /** The configurations of a group after the end of its rule; EMPTY_SET for the root rule. */
  after(stack: number): ConfigurationSet {
    return stack === 0
      ? EMPTY_SET
      : this.#intern([[this.#returnStates[stack] as number, this.#outerStacks[stack] as number]]);
  }

  #reset(): void {
    this.epoch++;
    this.#size = 0;
    this.#sets = [];
    this.#setOfKey = new Map();
    this.#groups = new Map();
    [this.#returnStates, this.#outerStacks, this.#distances, this.#stacks] = [[-1], [0], [0], new Map()];
    this.#intern([]);
  }

  /** Returns the number of the set of configurations that are reached from these without a byte. */
  #intern(from: readonly (readonly [state: number, stack: number])[]): ConfigurationSet {
    const size = this.#states.length;
    const reached = new Set<number>();
    const pending = from.map(([state, stack]) => stack * size + state);
    for (let code = pending.pop(); code !== undefined; code = pending.pop()) {
      if (reached.has(code)) continue;
      reached.add(code);
      const [state, stack] = [this.#states[code % size] as State, Math.floor(code / size)];
      for (const to of state.epsilon) pending.push(stack * size + to);
      for (const { start, returnTo } of state.calls) pending.push(this.#push(returnTo, stack) * size + start);
      if (state.isEnd && stack !== 0)
        pending.push((this.#outerStacks[stack] as number) * size + (this.#returnStates[stack] as number));
    }
    const isKept = (code: number) => {
      const { edges, isEnd } = this.#states[code % size] as State;
      return edges.length > 0 || (isEnd && code < size);
    };
    const codes = [...reached].filter(isKept).sort((a, b) => a - b);
    const key = codes.join();
    const found = this.#setOfKey.get(key);
    if (found !== undefined) return found;
    this.#size += codes.length;
    if (this.#size > MAX_SIZE)
      throw new ResponseFormatError('the format allows too many readings of one text: simplify its patterns');
    const states = Int32Array.from(codes, (code) => code % size);
    const stacks = Int32Array.from(codes, (code) => Math.floor(code / size));
    const isEnd = states.some((state, i) => stacks[i] === 0 && (this.#states[state] as State).isEnd);
    const distance = states.reduce(
      (min, state, i) =>
        Math.min(min, (this.#states[state] as State).distance + (this.#distances[stacks[i] as number] as number)),
      Number.POSITIVE_INFINITY,
    );
    const number = this.#sets.push({ states, stacks, next: new Int32Array(256).fill(-1), isEnd, distance }) - 1;
    this.#setOfKey.set(key, number);
    return number;
  }

  /**
   * Returns the stack with one more call. A call at the end of a rule returns to the caller's caller, so that lists
   * need no deep stacks.
   */
  #push(returnTo: number, outer: number): number {
    const { isTail, distance } = this.#states[returnTo] as State;
    if (isTail) return outer;
    const key = outer * this.#states.length + returnTo;
    const found = this.#stacks.get(key);
    if (found !== undefined) return found;
    const stack = this.#returnStates.push(returnTo) - 1;
    this.#outerStacks.push(outer);
    this.#distances.push((this.#distances[outer] as number) + distance);
    this.#stacks.set(key, stack);
    return stack;
  }
}
