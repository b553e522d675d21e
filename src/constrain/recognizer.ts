// Follows a network byte by byte along all ways at once, and remembers where each byte led.

import { ResponseFormatError } from './format-error.js';
import type { Network, State } from './states.js';

/** A set of places in a network, by its number. A place is a state and the stack of calls to return to. */
export type Places = number;

/** The empty set of places. */
export const NOWHERE: Places = 0;

/** Limits of the memory. Beyond the first two, everything is forgotten before the next text. */
const MAX_PLACES = 20_000;
const MAX_REMEMBERED = 2_000_000;
/** The limit within one text: a format with more places at once would take too much time and memory. */
const MAX_SIZE = 2 * MAX_REMEMBERED;

interface Known {
  /** The state and the stack of each place, in order. */
  readonly states: Int32Array;
  readonly stacks: Int32Array;
  /** The set behind each byte, or -1 if it is not known yet. */
  readonly next: Int32Array;
  /** True if the root rule may end here. */
  readonly isEnd: boolean;
  /** The minimum number of bytes to the root rule's end. */
  readonly distance: number;
}

/** Places with the same stack, and the set of their states with the empty stack. */
export interface Group {
  readonly stack: number;
  readonly places: Places;
}

export class Recognizer {
  readonly #states: readonly State[];
  #places: Known[] = [];
  #numbers = new Map<string, Places>();
  #groups = new Map<Places, Group[]>();
  /** For each stack: the state that its last call returns to, its other calls, and the minimum bytes to its end. */
  #backs: number[] = [-1];
  #rests: number[] = [0];
  #distances: number[] = [0];
  #stacks = new Map<number, number>();
  /** The number of places that are remembered. */
  #size = 0;
  /** Increases when everything is forgotten. Numbers of earlier eras are invalid. */
  era = 0;

  constructor(private readonly network: Network) {
    this.#states = network.states;
    this.#forget();
  }

  /** The places where a text begins. May forget everything and begin a new era. */
  start(): Places {
    if (this.#places.length > MAX_PLACES || this.#size > MAX_REMEMBERED) this.#forget();
    return this.#intern([[this.network.start, 0]]);
  }

  step(from: Places, byte: number): Places {
    const known = this.#places[from] as Known;
    const found = known.next[byte] as number;
    if (found >= 0) return found;
    const reached: [number, number][] = [];
    for (const [i, state] of known.states.entries())
      for (const { first, last, to } of (this.#states[state] as State).edges)
        if (byte >= first && byte <= last) reached.push([to, known.stacks[i] as number]);
    const next = reached.length === 0 ? NOWHERE : this.#intern(reached);
    known.next[byte] = next;
    return next;
  }

  /** The set behind each byte that was tried, or -1: `step` finds the others. */
  nextOf(places: Places): Int32Array {
    return (this.#places[places] as Known).next;
  }

  isEnd(places: Places): boolean {
    return (this.#places[places] as Known).isEnd;
  }

  /** True if a byte can follow. */
  goesOn(places: Places): boolean {
    const { states } = this.#places[places] as Known;
    return states.some((state) => (this.#states[state] as State).edges.length > 0);
  }

  distance(places: Places): number {
    return (this.#places[places] as Known).distance;
  }

  /** The places by their stacks. Inside a rule, only the states decide what can follow. */
  groups(places: Places): readonly Group[] {
    const found = this.#groups.get(places);
    if (found) return found;
    const { states, stacks } = this.#places[places] as Known;
    const byStack = new Map<number, [number, number][]>();
    for (const [i, stack] of stacks.entries()) {
      const state = states[i] as number;
      if ((this.#states[state] as State).edges.length === 0) continue;
      const members = byStack.get(stack) ?? [];
      byStack.set(stack, members);
      members.push([state, 0]);
    }
    const groups = [...byStack].map(([stack, members]) => ({ stack, places: this.#intern(members) }));
    this.#groups.set(places, groups);
    return groups;
  }

  /** The minimum number of bytes behind a group's rule. */
  stackDistance(stack: number): number {
    return this.#distances[stack] as number;
  }

  /** The places of a group behind the end of its rule; NOWHERE for the root rule. */
  after(stack: number): Places {
    return stack === 0 ? NOWHERE : this.#intern([[this.#backs[stack] as number, this.#rests[stack] as number]]);
  }

  #forget(): void {
    this.era++;
    this.#size = 0;
    this.#places = [];
    this.#numbers = new Map();
    this.#groups = new Map();
    [this.#backs, this.#rests, this.#distances, this.#stacks] = [[-1], [0], [0], new Map()];
    this.#intern([]);
  }

  /** The number of the set of places that are reached from these without a byte. */
  #intern(from: readonly (readonly [state: number, stack: number])[]): Places {
    const size = this.#states.length;
    const reached = new Set<number>();
    const todo = from.map(([state, stack]) => stack * size + state);
    for (let code = todo.pop(); code !== undefined; code = todo.pop()) {
      if (reached.has(code)) continue;
      reached.add(code);
      const [state, stack] = [this.#states[code % size] as State, Math.floor(code / size)];
      for (const to of state.free) todo.push(stack * size + to);
      for (const { start, back } of state.calls) todo.push(this.#push(back, stack) * size + start);
      if (state.isEnd && stack !== 0) todo.push((this.#rests[stack] as number) * size + (this.#backs[stack] as number));
    }
    const isKept = (code: number) => {
      const { edges, isEnd } = this.#states[code % size] as State;
      return edges.length > 0 || (isEnd && code < size);
    };
    const codes = [...reached].filter(isKept).sort((a, b) => a - b);
    const key = codes.join();
    const found = this.#numbers.get(key);
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
    const number = this.#places.push({ states, stacks, next: new Int32Array(256).fill(-1), isEnd, distance }) - 1;
    this.#numbers.set(key, number);
    return number;
  }

  /** A call at the end of a rule returns to the caller's caller, so that lists need no deep stacks. */
  #push(back: number, rest: number): number {
    const { isTail, distance } = this.#states[back] as State;
    if (isTail) return rest;
    const key = rest * this.#states.length + back;
    const found = this.#stacks.get(key);
    if (found !== undefined) return found;
    const stack = this.#backs.push(back) - 1;
    this.#rests.push(rest);
    this.#distances.push((this.#distances[rest] as number) + distance);
    this.#stacks.set(key, stack);
    return stack;
  }
}
